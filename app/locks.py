"""Locks that die with their process, however it dies: how one process tells that another is gone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ProcessLock:
    """A file that is locked as long as this process lives."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        self._descriptor = os.open(draft, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(draft, path)  # it appears locked: nobody ever sees it free while its owner lives

    def release(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def owner_is_dead(path: Path) -> bool | None:
    """Whether the process that made this lock file is gone; None where there is no such file here."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder as in use by this process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def is_abandoned(folder: Path) -> bool:
    """Whether no living process holds the folder by `locked`."""
    try:
        with locked(folder):
            return True
    except OSError:  # held, or gone meanwhile
        return False
