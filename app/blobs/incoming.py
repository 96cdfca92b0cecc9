"""Uploads that are being received: on this machine's disk, in a folder of the process that receives them.

<root>/incoming/<process>.lock              held as long as the process lives
<root>/incoming/<process>/<diagnosis>/      model and batch as they come
"""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from pathlib import Path

from app.locks import ProcessLock, owner_is_dead


class Incoming:
    """The part of a store that is the same everywhere: the folder that the processes of this machine receive into."""

    def __init__(self, root: Path) -> None:
        self._all = root / "incoming"
        self._all.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._own: Path | None = None
        self._lock: ProcessLock | None = None
        self._first = threading.Lock()

    def free_bytes(self) -> int:
        """What is left on the disk that uploads are received on."""
        usage = os.statvfs(self._all)
        return usage.f_bavail * usage.f_frsize

    def receive(self, diagnosis_id: str) -> Path:
        """A new folder to write an upload into; `discard` ends it."""
        with self._first:  # uploads come in threads: two that are the first must not make a folder each
            if self._own is None:
                name = uuid.uuid4().hex
                self._lock = ProcessLock(self._all / f"{name}.lock")
                self._own = self._all / name
        folder = self._own / diagnosis_id
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def _received(self, diagnosis_id: str) -> Path:
        """The folder of an upload of this process."""
        assert self._own is not None, "nothing has been received yet"
        return self._own / diagnosis_id

    def discard(self, diagnosis_id: str) -> None:
        """Drop an upload, if it is still there."""
        shutil.rmtree(self._received(diagnosis_id), ignore_errors=True)

    def _dead(self) -> dict[Path, list[str]]:
        """The processes that died while they received, each by its lock, and the diagnoses that they received."""
        locks = [path for path in self._all.glob("*.lock") if owner_is_dead(path)]
        return {lock: _names(lock.with_suffix("")) for lock in locks}

    def _forget(self, lock: Path) -> None:
        """Remove what a dead process has left."""
        shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
        lock.unlink(missing_ok=True)

    def close(self) -> None:
        """Drop what is being received."""
        if self._lock is not None and self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)
            self._lock.release()


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in os.scandir(folder)] if folder.is_dir() else []
