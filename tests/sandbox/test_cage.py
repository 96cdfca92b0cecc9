"""The cage holds, as tried from inside it, and each of its two walls is needed."""

from __future__ import annotations

import json
import os

import pytest

from app.sandbox.isolation import Findings
from tests.sandbox import escapes


def came_through(run) -> list[str]:
    (run.folder.parent / "canary").write_text("secret")
    assert run().kind == "succeeded"
    return json.loads(json.loads((run.folder / "out" / "report.json").read_text())["headline"])


def test_no_attempt_to_escape_succeeds(prepare):
    assert len(escapes.ATTEMPTS) > 30
    assert came_through(prepare("tries_to_escape")) == []
    assert not os.path.exists("/tmp/phasegap-escape")


@pytest.mark.parametrize("payload", ["runs_a_program", "traces_its_parent"])
def test_a_forbidden_call_ends_the_guest(prepare, payload):
    outcome = prepare(payload)()
    assert (outcome.kind, outcome.code) == ("refused", "model_unsafe")
    assert prepare("good")().kind == "succeeded"


def test_a_fork_ends_in_an_error_and_no_process(prepare):
    run = prepare("forks")
    assert (run().kind, run.outcome.code) == ("crashed", "internal")
    assert "PermissionError" in (run.folder / "out" / "guest.log").read_text()


def test_all_that_a_diagnosis_needs_works_inside(prepare):
    run = prepare("works_hard", threads=0, wall_seconds=90, memory_bytes=3 << 30)
    assert run().kind == "succeeded", (run.folder / "out" / "guest.log").read_text()


def test_a_wall_that_is_missing_reduces_and_one_that_fails_breaks():
    missing = Findings(held=["landlock 7"], escaped=["open a socket"])
    assert missing.broken() == []
    assert str(missing) == "reduced (a guest can open a socket): landlock 7"
    assert Findings(held=["landlock 7", "seccomp"], escaped=["read outside"]).broken() == ["landlock"]
    assert str(Findings(held=["landlock 7", "seccomp"], escaped=[])).startswith("full: ")


def test_isolation_says_what_holds(sandbox):
    assert sandbox.isolation.startswith("full: ")
    assert "landlock" in sandbox.isolation
    assert "seccomp" in sandbox.isolation
