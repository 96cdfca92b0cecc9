"""The cage holds, as tried from inside it."""

from __future__ import annotations

import json
import os
import platform
import time

import pytest

from app.sandbox import calls
from tests.sandbox import escapes
from tests.sandbox.test_levels import headline

COLUMN = 0 if platform.machine() == "x86_64" else 1


def test_no_attempt_to_escape_succeeds(prepare):
    assert len(escapes.ATTEMPTS) > 55
    run = prepare("tries_to_escape")
    neighbour = run.folder.parent / "neighbour" / "in"
    neighbour.mkdir(parents=True)
    (neighbour / "model.keras").write_text("secret")
    assert headline(run) == []
    assert not os.path.exists("/tmp/phasegap-escape")
    assert (run.folder.parent / "canary").read_text() == "secret"


@pytest.mark.parametrize("name", calls.KILLED)
def test_a_forbidden_call_ends_the_guest(bare, prepare_in, name):
    number = calls.KILLED[name][COLUMN]
    if number is None:
        pytest.skip("not on this architecture")
    outcome = prepare_in(bare, "calls", seed=number)()
    assert (outcome.kind, outcome.code) == ("refused", "model_unsafe")


@pytest.mark.parametrize(
    ("payload", "words", "seconds"), [("bombs_with_threads", "threads", 30), ("bombs_with_processes", "longer", 1.5)]
)
def test_a_bomb_is_ended_in_clear_words(bare, prepare_in, payload, words, seconds):
    run = prepare_in(bare, payload, wall_seconds=seconds)
    assert run().kind in ("refused", "timed_out")
    assert words in run.outcome.detail
    assert prepare_in(bare, "good")().kind == "succeeded"


def test_a_guest_cannot_touch_its_neighbour(bare, prepare_in):
    neighbour = prepare_in(bare, "spins", wall_seconds=10)
    thread = neighbour.in_background()
    pid = neighbour.folder / "out" / "pid"
    while not (pid.exists() and pid.read_text()):
        time.sleep(0.02)
    attacker = prepare_in(bare, "attacks_its_neighbour", seed=int(pid.read_text()))
    assert headline(attacker) == []
    assert thread.is_alive()
    os.kill(int(pid.read_text()), 9)
    thread.join(timeout=5)


def test_a_fork_ends_in_an_error_and_no_process(prepare):
    run = prepare("forks")
    assert (run().kind, run.outcome.code) == ("crashed", "internal")
    assert "PermissionError" in (run.folder / "out" / "guest.log").read_text()


def test_all_that_a_diagnosis_needs_works_inside(prepare):
    run = prepare("works_hard", threads=0, wall_seconds=90, memory_bytes=3 << 30)
    assert run().kind == "succeeded", (run.folder / "out" / "guest.log").read_text()


def test_isolation_says_what_holds(sandbox):
    assert sandbox.isolation.startswith(("full: ", "inner ("))
    assert "landlock" in sandbox.isolation
    assert "seccomp" in sandbox.isolation
    assert json.dumps(sandbox.isolation).isascii()


def test_calls_are_numbered_as_this_kernel_numbers_them():
    """Where the kernel's headers are installed."""
    import re
    from pathlib import Path

    headers = [Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm-generic/unistd.h")]
    for column, header in enumerate(headers):
        if not header.exists():
            continue
        found = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)\s", header.read_text())}
        for table in (calls.ALLOWED, calls.KILLED, calls.ONLY_ON_ITSELF):
            for name, numbers in table.items():
                assert found.get(name, numbers[column]) == numbers[column], name
