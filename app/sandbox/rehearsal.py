"""The first guest of each zygote has no upload. It shows that TensorFlow runs after the fork, and tries to break out.

What holds a guest depends on the kernel and the container, so it is found out here and not assumed: a layer that is
missing makes the sandbox say that its isolation is reduced; one that is there and does not hold makes it refuse to run
anything.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from app.sandbox.cage import Room
from app.sandbox.guest import leave, use_threads
from app.sandbox.isolation import CALLS, CANARY, FILES, KEPT_BY, Findings
from app.sandbox.jobfolder import REHEARSAL


def rehearse(room: Room, held: list[str]) -> None:
    """The errand of the first guest."""
    names = [*KEPT_BY[FILES], *KEPT_BY[CALLS]]
    attempts = (_read_outside, _write_outside, _start_a_process, _open_a_socket)
    escaped = [name for name, attempt in zip(names, attempts, strict=True) if _came_through(attempt, room)]
    _compute(room)
    leave(room, REHEARSAL, Findings(held=held, escaped=escaped).model_dump_json())


def _compute(room: Room) -> None:
    import tensorflow as tf

    use_threads(room.limits.threads)
    if float(tf.reduce_sum(tf.ones((8, 8)) @ tf.ones((8, 8)))) != 512.0:
        raise RuntimeError("TensorFlow computes nonsense in a forked process")


def _came_through(attempt: Callable[[Room], None], room: Room) -> bool:
    try:
        attempt(room)
    except OSError:
        return False
    return True


def _read_outside(room: Room) -> None:
    (room.folder.parent / CANARY).read_bytes()


def _write_outside(room: Room) -> None:
    (room.folder.parent / f"{CANARY}-touched").touch()


def _start_a_process(room: Room) -> None:
    child = os.fork()
    if child == 0:
        os._exit(os.EX_OK)
    os.waitpid(child, 0)


def _open_a_socket(room: Room) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
