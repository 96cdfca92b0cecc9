"""The cage holds, as tried from inside it, and each of its two walls is needed."""

from __future__ import annotations

import json
import os

import escapes
import pytest


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


def test_isolation_says_what_holds(sandbox):
    assert "landlock" in sandbox.isolation
    assert "seccomp" in sandbox.isolation
