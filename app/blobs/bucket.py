"""Files in a bucket, for web processes and workers on many machines. Uploads are received on this machine's disk first.

    <prefix>/diagnoses/<id's first two digits>/<id>/upload/        model and batch of an accepted job
    <prefix>/diagnoses/<id's first two digits>/<id>/attempt-<n>/   report and repaired model of its n-th run

The two digits are there for the sweep: it lists one of 256 parts at a time and never the whole bucket. What is known
to be left over is noted on disk (`leftovers.py`) and goes with the next sweep; the lists find the rest.
"""

from __future__ import annotations

import errno
import hashlib
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path

import structlog

from app.blobs.base import Known, NoRoomError, Upload, UploadDamagedError
from app.blobs.incoming import Incoming
from app.blobs.leftovers import Leftovers
from app.blobs.objects import Objects, RemoteFile
from app.blobs.pieces import pieces_of
from app.errors import StoreAway

PARTS = 256
ORPHAN_AGE_S = 24 * 3600.0
"""Files without a row are left alone this long: on a slow line a batch may follow its model, and a row both, hours
later. What is known to be left over does not wait for this.
"""
LATE_ROW_S = 60.0
"""The row of an upload whose process died, or lost the database, may still be on its way into it this long."""
DOWNLOADS = 2
"""An upload that arrives spoilt is fetched this often; then the store keeps it so."""

log = structlog.get_logger(__name__)


class BucketBlobs(Incoming):
    """The bucket that all processes of one installation share, and the part of `root` that is this machine's own."""

    def __init__(self, url: str, root: Path, limit_s: float) -> None:
        super().__init__(root)
        self._objects = Objects(url, limit_s)
        self._leftovers = Leftovers(root)
        self._part = random.randrange(PARTS)  # noqa: S311 - so that processes begin at different ones

    def accept(self, diagnosis_id: str) -> None:
        """Put a received upload into the store."""
        try:
            for path in sorted(self._received(diagnosis_id).iterdir()):
                self._objects.put(f"{_home(diagnosis_id)}/upload/{path.name}", path)
        except BaseException:
            self.remove(diagnosis_id)
            raise

    def fetch_upload(self, diagnosis_id: str, upload: Upload, target: Path) -> None:
        """Fetch an uploaded file and hold it against its row."""
        if not self.is_there():
            self.probe()  # nobody else may have looked since
        key = f"{_home(diagnosis_id)}/upload/{upload.name}"
        for _ in range(DOWNLOADS):
            if self._download(key, upload, target):
                return
            log.error("upload_damaged", key=key)
        raise UploadDamagedError(f"{key} is not what was received")

    def _download(self, key: str, upload: Upload, target: Path) -> bool:
        found = self._objects.head(key)
        if found.size_bytes != upload.size_bytes:
            return False
        digest = hashlib.sha256()
        with _room_for(upload.size_bytes), target.open("wb", buffering=0) as file:
            for piece in pieces_of(found):
                digest.update(piece)
                _write(file, piece)
        return digest.hexdigest() == upload.sha256

    def put_output(self, diagnosis_id: str, attempt: int, name: str, source: Path) -> None:
        """Move a file that a run has written into the store."""
        self._objects.put(_output(diagnosis_id, attempt, name), source)
        source.unlink()

    def write_output(self, diagnosis_id: str, attempt: int, name: str, content: bytes) -> None:
        """Write a file as if a run had."""
        self._objects.put(_output(diagnosis_id, attempt, name), content)

    def link_output(self, source: tuple[str, int], target: tuple[str, int], name: str) -> None:
        """Let a run have a copy of another run's file; the bytes do not come here."""
        self._objects.copy(_output(*source, name), _output(*target, name))

    def read_output(self, diagnosis_id: str, attempt: int, name: str) -> bytes:
        """The whole of a file that a run has written."""
        return b"".join(pieces_of(self.output(diagnosis_id, attempt, name)))

    def output(self, diagnosis_id: str, attempt: int, name: str) -> RemoteFile:
        """A file that a run has written."""
        return self._objects.head(_output(diagnosis_id, attempt, name))

    def remove_attempt(self, diagnosis_id: str, attempt: int) -> None:
        """Remove what a run wrote that did not count."""
        self._remove(f"{diagnosis_id}.{attempt}")

    def remove(self, diagnosis_id: str) -> None:
        """Remove everything of a diagnosis."""
        self._remove(diagnosis_id)

    def doubt(self, diagnosis_id: str) -> None:
        """Leave the files of a diagnosis whose row may be there or not, with a note for a later sweep."""
        self._leftovers.note(diagnosis_id, LATE_ROW_S)

    def _remove(self, name: str) -> None:
        """Remove what a note says; where the store is away, by the next sweep that finds it there."""
        diagnosis_id, _, attempt = name.partition(".")
        self._leftovers.note(name)
        try:
            self._objects.remove_all(_home(diagnosis_id) + (f"/attempt-{attempt}" if attempt else ""))
        except StoreAway:
            log.warning("removal_put_off", name=name)
        else:
            self._leftovers.clear(name)

    def sweep(self, known: Known) -> int:
        """Remove what is noted as left over, and what one part of the bucket holds without a row."""
        count = self._bury_dead_incoming()
        self.probe()
        noted = self._leftovers.due()
        owned = set(known([name for name in noted if "." not in name]))
        for name in noted:
            if name in owned:
                self._leftovers.clear(name)
            else:
                self._remove(name)
                count += 1
        return count + self._sweep_part(known)

    def _bury_dead_incoming(self) -> int:
        """Drop what dead processes were receiving; what they may have put into the store by then is noted."""
        dead = self._dead()
        for lock, diagnosis_ids in dead.items():
            for diagnosis_id in diagnosis_ids:
                self._leftovers.note(diagnosis_id, LATE_ROW_S)
            self._forget(lock)
        return len(dead)

    def _sweep_part(self, known: Known) -> int:
        self._part = (self._part + 1) % PARTS
        newest_s: dict[str, float] = {}
        for item in self._objects.list_all(f"diagnoses/{self._part:02x}"):
            diagnosis_id = item.key.split("/")[2]
            newest_s[diagnosis_id] = max(item.modified_s, newest_s.get(diagnosis_id, 0.0))
        old = [diagnosis_id for diagnosis_id, at_s in newest_s.items() if at_s < time.time() - ORPHAN_AGE_S]
        orphans = set(old) - set(known(old))
        for diagnosis_id in orphans:
            self.remove(diagnosis_id)
        return len(orphans)

    def is_there(self) -> bool:
        """Whether the store answered when it was last asked."""
        return not self._objects.patience.is_away

    def probe(self) -> None:
        """Raise StoreAway unless the store answers."""
        self._objects.probe()

    def hurry_when(self, leaving: Callable[[], bool]) -> None:
        """From when this says so, give up instead of trying again."""
        self._objects.patience.leaving = leaving


@contextmanager
def _room_for(needed_bytes: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoomError(needed_bytes) from error
        raise


def _write(file: RawIOBase, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[file.write(left) :]


def _home(diagnosis_id: str) -> str:
    return f"diagnoses/{diagnosis_id[:2]}/{diagnosis_id}"


def _output(diagnosis_id: str, attempt: int, name: str) -> str:
    return f"{_home(diagnosis_id)}/attempt-{attempt}/{name}"
