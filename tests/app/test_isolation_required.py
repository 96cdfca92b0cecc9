"""A worker that cannot hold guests as required stops with a status of its own, and is not started again."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.kin import EXIT_NOT_ISOLATED
from app.sandbox.host import IsolationTooWeak
from app.settings import Settings
from app.supervisor import HOPELESS_STARTS, Child
from app.worker.process import EXIT_NO_SANDBOX, WorkerProcess
from tests.app.double import ScriptedSandbox


class Weak(ScriptedSandbox):
    def start(self) -> None:
        raise IsolationTooWeak("missing here: landlock")


class Broken(ScriptedSandbox):
    def start(self) -> None:
        raise RuntimeError("no TensorFlow here")


@pytest.mark.parametrize(("sandbox", "code"), [(Weak(), EXIT_NOT_ISOLATED), (Broken(), EXIT_NO_SANDBOX)])
def test_a_worker_says_why_it_does_not_start(
    sandbox: ScriptedSandbox, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert WorkerProcess(Settings(data_dir=tmp_path), sandbox).run() == code


@pytest.mark.parametrize(("code", "hopeless"), [(EXIT_NOT_ISOLATED, True), (EXIT_NO_SANDBOX, False)])
def test_what_no_restart_can_mend_is_not_restarted(code: int, hopeless: bool) -> None:
    child = Child("worker", ["worker"])
    child.note_death(code)
    assert (child.quick_deaths >= HOPELESS_STARTS) == hopeless


def test_guests_must_be_held_unless_told_otherwise() -> None:
    assert Settings().isolation_required == "inner"
