"""The first guest of each zygote has no upload. It shows that TensorFlow runs after the fork, and tries to break out.

What holds a guest depends on the kernel and the container, so it is found out here and not assumed: a layer that is
missing lowers the level of isolation that the sandbox reports; one that is there and does not hold makes it refuse to
run anything.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from app.sandbox.device import use_device, use_threads
from app.sandbox.isolation import CANARY, Findings
from app.sandbox.jobfolder import REHEARSAL
from app.sandbox.room import Room, leave

TRIED_SIDE = 1024
"""Of a square matrix of ones: 4 MiB, and every entry of its square is this number, in half precision too."""


def rehearse(room: Room, held: list[str]) -> None:
    """The errand of the first guest."""
    escaped = [name for name, attempt in ATTEMPTS.items() if _came_through(attempt, room)]
    _compute(room)
    leave(room, REHEARSAL, Findings(held=held, escaped=escaped).model_dump_json())


def try_device(room: Room, held: list[str]) -> None:
    """The errand of a guest that tries a GPU: enough work that a broken one shows it, little beside other guests."""
    import tensorflow as tf

    use_device(room.limits.device)
    with tf.device("/GPU:0"):
        side = tf.ones((TRIED_SIDE, TRIED_SIDE))
        if float(tf.reduce_max(tf.abs(side @ side - TRIED_SIDE))) > 0.0:
            raise RuntimeError("the GPU computes nonsense")
    leave(room, REHEARSAL, Findings(held=held, escaped=[]).model_dump_json())


def _compute(room: Room) -> None:
    import tensorflow as tf

    use_device(None)
    use_threads(room.limits.threads)
    if float(tf.reduce_sum(tf.ones((8, 8)) @ tf.ones((8, 8)))) != 512.0:
        raise RuntimeError("TensorFlow computes nonsense in a forked process")


def _came_through(attempt: Callable[[Room], object], room: Room) -> bool:
    try:
        return attempt(room) is not False
    except OSError:
        return False


def _start_a_process(room: Room) -> None:
    child = os.fork()
    if child == 0:
        os._exit(os.EX_OK)
    os.waitpid(child, 0)


def _see_the_network(room: Room) -> bool:
    lines = Path("/proc/self/net/dev").read_text(encoding="ascii").splitlines()[2:]
    return any(line.split(":")[0].strip() != "lo" for line in lines)


ATTEMPTS: dict[str, Callable[[Room], object]] = {
    "read outside": lambda room: (room.folder.parent / CANARY).read_bytes(),
    "write outside": lambda room: (room.folder.parent / f"{CANARY}-touched").touch(),
    "read about another process": lambda room: Path(f"/proc/{os.getppid()}/status").read_bytes(),
    "start a process": _start_a_process,
    "open a socket": lambda room: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
    "signal its parent": lambda room: os.kill(os.getppid(), 0),
    "see files outside": lambda room: os.stat(room.folder.parent / CANARY),
    "see other processes": lambda room: os.stat(f"/proc/{os.getppid()}"),
    "see the network": _see_the_network,
}
"""By the names that `KEPT_BY` has for them. An attempt that raises an `OSError` or returns False did not succeed."""
