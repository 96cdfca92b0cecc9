"""Files in a local folder. What is put here is on the disk, name and all, before the call returns.

    <root>/incoming/<process>/<diagnosis>/      an upload that is being received, by a process that holds its lock
    <root>/diagnoses/<diagnosis>/upload/        model and batch of an accepted job
    <root>/diagnoses/<diagnosis>/attempt-<n>/   report and repaired model of its n-th run

Outputs are kept by attempt: a run that was overtaken writes beside the one that counts, never over it.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
import uuid
from pathlib import Path

from app.errors import NotFound
from app.locks import ProcessLock, owner_is_dead

REPORT = "report.json"
REPAIRED = "repaired"
ORPHAN_AGE_S = 600.0
"""A folder without a row is left alone this long: its row may be about to be written."""


class BlobStore:
    """The folder that all processes of one installation share."""

    def __init__(self, root: Path) -> None:
        self._diagnoses = root / "diagnoses"
        self._all_incoming = root / "incoming"
        self._diagnoses.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._all_incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._incoming: Path | None = None
        self._lock: ProcessLock | None = None
        self._first = threading.Lock()

    def free_bytes(self) -> int:
        """What is left on the disk."""
        usage = os.statvfs(self._diagnoses)
        return usage.f_bavail * usage.f_frsize

    def receive(self, diagnosis_id: str) -> Path:
        """A new folder to write an upload into; `accept` or `discard` ends it."""
        with self._first:  # uploads come in threads: two that are the first must not make a folder each
            if self._incoming is None:
                name = uuid.uuid4().hex
                self._lock = ProcessLock(self._all_incoming / f"{name}.lock")
                self._incoming = self._all_incoming / name
        folder = self._incoming / diagnosis_id
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def accept(self, diagnosis_id: str) -> None:
        """Make a received upload durable and give it its place."""
        folder = self._received(diagnosis_id)
        for path in folder.iterdir():
            sync(path)
        sync(folder)
        home = self._diagnoses / diagnosis_id
        home.mkdir(mode=0o700)
        os.rename(folder, home / "upload")
        sync(home)
        sync(self._diagnoses)

    def discard(self, diagnosis_id: str) -> None:
        """Drop an upload that is not accepted."""
        shutil.rmtree(self._received(diagnosis_id), ignore_errors=True)

    def upload(self, diagnosis_id: str, name: str) -> Path:
        """An uploaded file."""
        return _existing(self._diagnoses / diagnosis_id / "upload" / name)

    def put_output(self, diagnosis_id: str, attempt: int, name: str, source: Path) -> None:
        """Move a file that a run has written to its place."""
        folder = self._attempt(diagnosis_id, attempt)
        folder.mkdir(exist_ok=True, mode=0o700)
        sync(source)
        os.replace(source, folder / name)
        sync(folder)
        sync(folder.parent)

    def write_output(self, diagnosis_id: str, attempt: int, name: str, content: bytes) -> None:
        """Write a file as if a run had."""
        folder = self._attempt(diagnosis_id, attempt)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / name).write_bytes(content)
        for path in (folder / name, folder, folder.parent, self._diagnoses):
            sync(path)

    def link_output(self, source: tuple[str, int], target: tuple[str, int], name: str) -> None:
        """Let a run have a file of another run's, each a (diagnosis, attempt), as if it had written it."""
        folder = self._attempt(*target)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.link(self.output(*source, name), folder / name)

    def output(self, diagnosis_id: str, attempt: int, name: str) -> Path:
        """A file that a run has written."""
        return _existing(self._attempt(diagnosis_id, attempt) / name)

    def remove_attempt(self, diagnosis_id: str, attempt: int) -> None:
        """Remove what a run wrote that did not count."""
        shutil.rmtree(self._attempt(diagnosis_id, attempt), ignore_errors=True)

    def remove(self, diagnosis_id: str) -> None:
        """Remove everything of a diagnosis."""
        shutil.rmtree(self._diagnoses / diagnosis_id, ignore_errors=True)

    def old_diagnoses(self) -> list[str]:
        """The diagnoses that have had files for a while."""
        before = time.time() - ORPHAN_AGE_S
        return [entry.name for entry in os.scandir(self._diagnoses) if entry.stat().st_mtime < before]

    def remove_dead_incoming(self) -> int:
        """Remove what processes were receiving when they died; returns how many processes that were."""
        dead = [path for path in self._all_incoming.glob("*.lock") if owner_is_dead(path)]
        for path in dead:
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink(missing_ok=True)
        return len(dead)

    def close(self) -> None:
        if self._lock is not None and self._incoming is not None:
            shutil.rmtree(self._incoming, ignore_errors=True)
            self._lock.release()

    def _attempt(self, diagnosis_id: str, attempt: int) -> Path:
        return self._diagnoses / diagnosis_id / f"attempt-{attempt}"

    def _received(self, diagnosis_id: str) -> Path:
        assert self._incoming is not None, "nothing has been received yet"
        return self._incoming / diagnosis_id


def sync(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise NotFound("This file has been removed.")
    return path
