"""Bells: how processes that share a data folder wake one another, so that nobody has to look often.

A bell is a named pipe. Whoever waits holds it open; whoever has news writes a byte into each bell of that kind. It says
no more than "look": what there is to see stands in the database, and who hears nothing, on another host or because a
ring was lost, looks all the same, only later.

Where hosts share the folder each has bells of its own: a pipe connects processes of one kernel, and looks abandoned to
every other.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import select
import uuid
from pathlib import Path
from typing import Literal

import structlog

Kind = Literal["jobs", "ends"]
"""That there is a job to take; that one has ended."""

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Tells kernels apart, not containers on one of them."""

RING = b"!"
MOST_RINGS = 1 << 16

log = structlog.get_logger(__name__)


class Bell:
    """One that this process listens to, in a folder that is made where there is none."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{kind}-{_kernel()}-{uuid.uuid4().hex[:12]}"
        draft = folder / f".{self.path.name}"
        os.mkfifo(draft, 0o600)
        # Open for writing, too: a pipe without writers would count as readable all the time.
        self._descriptor = os.open(draft, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        os.rename(draft, self.path)  # it appears with a listener: one without is swept away

    def fileno(self) -> int:
        return self._descriptor

    def wait(self, seconds: float) -> bool:
        """Whether it rang, or had rung before, within so many seconds. By one thread."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000)) and self.hush()

    def hush(self) -> bool:
        """Forget what rang so far; whether there was anything."""
        try:
            return bool(os.read(self._descriptor, MOST_RINGS))
        except BlockingIOError:
            return False

    def retire(self) -> None:
        """Be rung no more."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """The same, for who has stopped listening."""
        self.retire()
        os.close(self._descriptor)


def hang(folder: Path, kind: Kind) -> Bell | None:
    """A bell, or None where the folder is on a file system that takes no pipes: then nobody is woken."""
    try:
        return Bell(folder, kind)
    except OSError as error:
        log.warning("no_bell", kind=kind, reason=str(error))
        return None


def ring(folder: Path, kind: Kind) -> None:
    """Wake all who listen here. Bells that nobody holds any more, after a kill, are removed. Never fails: it is for the
    sake of speed alone.
    """
    for path in folder.glob(f"{kind}-{_kernel()}-*"):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.ENXIO:
                _remove(path)
            continue
        with contextlib.suppress(OSError):  # full of rings that were not heard yet, or let go of this very moment
            os.write(descriptor, RING)
        os.close(descriptor)


@functools.cache
def _kernel() -> str:
    """A name of the kernel that this process runs on."""
    try:
        return BOOT.read_text(encoding="ascii")[:8]
    except OSError:
        return f"{uuid.getnode():x}"


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
