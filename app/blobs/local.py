"""Files in a local folder. What is put here is on the disk, name and all, before the call returns.

<root>/incoming/                            see `incoming.py`
<root>/diagnoses/<diagnosis>/upload/        model and batch of an accepted job
<root>/diagnoses/<diagnosis>/attempt-<n>/   report and repaired model of its n-th run
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from app.blobs.base import Known, Upload, sync
from app.blobs.incoming import Incoming
from app.errors import NotFound

ORPHAN_AGE_S = 600.0
"""A folder without a row is left alone this long: its row may be about to be written."""


class LocalBlobs(Incoming):
    """The folder that all processes of one installation share."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._diagnoses = root / "diagnoses"
        self._diagnoses.mkdir(parents=True, exist_ok=True, mode=0o700)

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

    def fetch_upload(self, diagnosis_id: str, upload: Upload, target: Path) -> None:
        """Give the guest its upload without copying it; it may only read it, and it is nobody else's."""
        source = _existing(self._diagnoses / diagnosis_id / "upload" / upload.name)
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, target)

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

    def read_output(self, diagnosis_id: str, attempt: int, name: str) -> bytes:
        """The whole of a file that a run has written."""
        return self.output(diagnosis_id, attempt, name).read_bytes()

    def output(self, diagnosis_id: str, attempt: int, name: str) -> Path:
        """A file that a run has written."""
        return _existing(self._attempt(diagnosis_id, attempt) / name)

    def remove_attempt(self, diagnosis_id: str, attempt: int) -> None:
        """Remove what a run wrote that did not count."""
        shutil.rmtree(self._attempt(diagnosis_id, attempt), ignore_errors=True)

    def remove(self, diagnosis_id: str) -> None:
        """Remove everything of a diagnosis."""
        shutil.rmtree(self._diagnoses / diagnosis_id, ignore_errors=True)

    def doubt(self, diagnosis_id: str) -> None:
        """Leave the files of a diagnosis whose row may be there or not: every sweep looks at all folders."""

    def sweep(self, known: Known) -> int:
        """Remove files that belong to no diagnosis, and what processes were receiving when they died."""
        os.utime(self._diagnoses)  # by the clock that stamps the files: on a shared folder it is its server's
        before = os.stat(self._diagnoses).st_mtime - ORPHAN_AGE_S
        old = [entry.name for entry in os.scandir(self._diagnoses) if entry.stat().st_mtime < before]
        orphans = set(old) - set(known(old))
        for diagnosis_id in orphans:
            self.remove(diagnosis_id)
        dead = self._dead()
        for lock in dead:
            self._forget(lock)
        return len(orphans) + len(dead)

    def is_there(self) -> bool:
        """A folder does not go away."""
        return True

    def probe(self) -> None:
        """Likewise; a full disk says so itself."""

    def hurry_when(self, leaving: Callable[[], bool]) -> None:
        """Nothing here is tried again."""

    def _attempt(self, diagnosis_id: str, attempt: int) -> Path:
        return self._diagnoses / diagnosis_id / f"attempt-{attempt}"


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise NotFound("This file has been removed.")
    return path
