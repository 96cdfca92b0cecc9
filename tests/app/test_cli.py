"""The command line without a model: versions, settings, errors, and printing a report."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from app.settings import Settings
from app.terminal import print_problem, print_report
from tests.app.double import canned_report
from tests.app.served import ROOT


def phasegap(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_settings_are_listed_with_their_meaning() -> None:
    listed = phasegap("settings", PHASEGAP_SLOTS="3").stdout
    for name in Settings.model_fields:
        assert f"PHASEGAP_{name.upper()} = " in listed
    assert "PHASEGAP_SLOTS = 3  (default: 1)" in listed
    assert all(field.description for field in Settings.model_fields.values())


def test_a_setting_that_makes_no_sense_is_named() -> None:
    result = phasegap("serve", PHASEGAP_SLOTS="none")
    assert result.returncode == 2
    assert "PHASEGAP_SLOTS" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = phasegap("serve", "--port", str(port), "--data-dir", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.strip() == f"port {port} is in use: choose another with --port, or make serve PORT=..."
    assert re.search(r"^serve:.*\n.*--port \$\(PORT\)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_version_and_key_hash() -> None:
    assert phasegap("--version").stdout.startswith("phasegap ")
    assert len(phasegap("hash-key", "--key", "sesame").stdout.strip()) == 64


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    result = phasegap("diagnose", str(tmp_path / "none.keras"), str(tmp_path / "none.npz"))
    assert result.returncode == 2
    assert "none.keras" in result.stderr.replace("\n", "")


def test_a_report_is_printed_for_people_and_hostile_names_stay_inert() -> None:
    shown = io.StringIO()
    report = canned_report("x", "tiny", "layer\x1b[31m[bold]\u202e").model_dump(mode="json")
    print_report(report, Console(file=shown, width=120))
    text = shown.getvalue()
    for part in ("A headline", "bn_statistics_unconverged", "Recalibrate", "recommended", "[bold]", "NaN"):
        assert part in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    print_problem({"title": "No", "detail": "because [red]"}, Console(file=shown, width=120))
    assert "because [red]" in shown.getvalue()


SNIPPET = "def f(model, x):\n    if x is None:\n        return " + " + ".join(["model.first_moving_mean"] * 12) + "\n"


@pytest.mark.parametrize("width", [40, 80])
def test_printed_code_can_be_pasted(width: int) -> None:
    shown = io.StringIO()
    report = canned_report("x", "tiny", "norm").model_dump(mode="json")
    report["remedies"][0] |= {"snippet": SNIPPET}
    report["remedies"][0]["verification"]["interval"] = [0.8, 1.1]
    print_report(report, Console(file=shown, width=width))
    text = shown.getvalue()
    printed = text.partition("Python to paste\n")[2].partition("\n\n")[0]
    assert printed.rstrip() == SNIPPET.rstrip()
    compile(printed, "printed", "exec")
    assert "loss: 1 before, 0.1 after" in text
    assert re.search(r"0\.8\s+to\s+1\.1", text)
