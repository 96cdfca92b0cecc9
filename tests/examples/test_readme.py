"""What the README prints works as printed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.client import Server
from examples.founding_case import FOUNDING, make

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z-]+)\b", " ".join(BLOCKS)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.fixture
def server() -> Iterator[Server]:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    if not (FOUNDING.folder / "model.keras").exists():
        make(FOUNDING)
    with Server() as running:
        yield running


@pytest.mark.slow
def test_the_curl_examples(server: Server) -> None:
    first, second, third = [
        block for block in BLOCKS if "curl" in block and "/webhooks" not in block and "keys add" not in block
    ]
    report = json.loads(_run(first, server))
    assert (report["verdict"], report["primary_cause"]) == ("phase_gap", "bn_statistics_unconverged")
    head, _, body = _run(second, server).rpartition("\n\n")
    assert " 202 " in head
    server.follow(json.loads(body))
    answers = _run(third, server)
    assert "event:" in answers
    assert '"succeeded"' in answers
    assert (FOUNDING.folder / "repaired.keras").stat().st_size > 1_000_000


@pytest.mark.slow
def test_the_gate_example(server: Server, tmp_path: Path) -> None:
    (block,) = [block for block in BLOCKS if "--fail-on" in block]
    told = _done(block.replace("phasegap.xml", f"{tmp_path}/j.xml").replace("phasegap.sarif", f"{tmp_path}/s"), server)
    assert told.returncode == 1, told.stderr
    assert "bn_statistics_unconverged" in told.stdout
    for name in ("j.xml", "s"):
        assert b"bn_statistics_unconverged" in (tmp_path / name).read_bytes()


def _run(block: str, server: Server) -> str:
    done = _done(block, server)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _done(block: str, server: Server) -> subprocess.CompletedProcess[str]:
    script = block.replace("127.0.0.1:8000", f"{server.host}:{server.port}")
    return subprocess.run(["bash", "-euc", script], cwd=ROOT, capture_output=True, text=True, check=False)
