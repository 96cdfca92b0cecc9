"""The control, slow: without a cage the same files reach the canaries. Else no test here would prove anything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.served import ROOT
from tests.attacks import caged
from tests.attacks.canaries import Canaries
from tests.attacks.kit import Found, Upload, all_attacks

FEWEST = 15


@pytest.fixture
def plain_process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.attacks.uncaged"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield process
        process.kill()


@pytest.mark.slow
def test_without_a_cage_they_come_through(
    plain_process: subprocess.Popen[str],
    make: Callable[[Found], Upload],
    good: Upload,
    canaries: Canaries,
    tmp_path: Path,
) -> None:
    silent, attacks = [], [found for found in all_attacks() if found.attack.breaches]
    for found in attacks:
        folder = tmp_path / str(found)
        caged.stage(folder, make(found), good)
        print(found.attack.loader, folder, file=plain_process.stdin, flush=True)
        assert plain_process.stdout is not None
        assert plain_process.stdout.readline() == "done\n"
        read = caged.said((folder / "out" / caged.LOG).read_bytes()).get("read", "")
        if not (canaries.leaked(read) or canaries.touched()):
            silent.append((str(found), read[:500]))
    assert silent == []
    assert len(attacks) >= FEWEST
