"""Payloads that attack what is outside of the guest: its neighbours, the machine, the walls. Bounded, on canaries."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import threading
import time
from pathlib import Path

from app.sandbox import guest
from app.sandbox.protocol import Task
from app.sandbox.room import Room
from tests.sandbox import escapes
from tests.sandbox.reports import a_report


def forks(room: Room, task: Task) -> None:
    if os.fork() == 0:
        time.sleep(600)
    guest.leave_report(room, a_report(task.diagnosis_id))


def tries_to_escape(room: Room, task: Task) -> None:
    guest.leave_report(room, a_report(task.diagnosis_id, headline=json.dumps(escapes.successes(room))))


def tries_without_wall_in_files(room: Room, task: Task) -> None:
    _try(room, task, "wall_in_files")


def tries_without_wall_in_calls(room: Room, task: Task) -> None:
    _try(room, task, "wall_in_calls")


def _try(room: Room, task: Task, wall: str) -> None:
    attempts = {name: escapes.ATTEMPTS[name] for name in escapes.CONTROL[wall]}
    guest.leave_report(room, a_report(task.diagnosis_id, headline=json.dumps(escapes.successes(room, attempts))))


def looks_out(room: Room, task: Task) -> None:
    seen = escapes.successes(room, escapes.OUTER)
    guest.leave_report(room, a_report(task.diagnosis_id, headline=json.dumps(seen)))


def reads_its_upload(room: Room, task: Task) -> None:
    text = (room.folder / "in" / "linked").read_text()
    guest.leave_report(room, a_report(task.diagnosis_id, headline=json.dumps([text])))


def attacks_its_neighbour(room: Room, task: Task) -> None:
    """The neighbour is the process that the task's seed names."""
    attempts: escapes.Attempts = {
        "kill": lambda room: os.kill(task.seed, signal.SIGKILL),
        "kill its group": lambda room: os.killpg(task.seed, signal.SIGKILL),
        "hold": lambda room: os.pidfd_open(task.seed),
        "read memory": lambda room: Path(f"/proc/{task.seed}/mem").read_bytes(),
        "list descriptors": lambda room: os.listdir(f"/proc/{task.seed}/fd"),
    }
    guest.leave_report(room, a_report(task.diagnosis_id, headline=json.dumps(escapes.successes(room, attempts))))


def bombs_with_threads(room: Room, task: Task) -> None:
    threading.stack_size(1 << 16)
    while True:
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def bombs_with_processes(room: Room, task: Task) -> None:
    while True:
        with contextlib.suppress(OSError):
            os.fork()


def calls(room: Room, task: Task) -> None:
    """The system call that the task's seed numbers, with nothing useful in it."""
    ctypes.CDLL(None).syscall(task.seed, 0, 0, 0, 0, 0, 0)
    guest.leave_report(room, a_report(task.diagnosis_id))
