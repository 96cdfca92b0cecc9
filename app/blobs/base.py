"""What a store of files can do, wherever it keeps them. `local.py` and `bucket.py` do it.

Two promises hold for both. What was accepted or put is kept before the call returns, so a row that is written after it
never speaks of a file that is not there. Outputs are kept by attempt: a run that was overtaken writes beside the one
that counts, never over it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.errors import StoreAway

REPORT = "report.json"
REPAIRED = "repaired"
Known = Callable[[list[str]], Collection[str]]
"""Tells which of these diagnoses still own files."""


class NoRoomError(StoreAway):
    """An upload does not fit on this machine's disk; another machine's may have the room."""

    def __init__(self, needed_bytes: int) -> None:
        super().__init__("There is too little free disk space for this upload at the moment.")
        self.needed_bytes = needed_bytes


class UploadDamagedError(Exception):
    """What the store gives for an upload is not what was received."""


@dataclass(frozen=True)
class Upload:
    """An uploaded file as its row describes it."""

    name: str
    size_bytes: int
    sha256: str


class StoredObject(Protocol):
    """A file that is not on this machine, to be read piece by piece."""

    @property
    def size_bytes(self) -> int: ...
    @property
    def modified_s(self) -> float: ...
    @property
    def etag(self) -> str: ...

    async def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`."""


class BlobStore(Protocol):
    """Uploads on their way in, and all files of accepted jobs.

    Whatever reaches out of this machine raises StoreAway where the store cannot be had; removing does not, it is done
    later then.
    """

    def free_bytes(self) -> int:
        """What is left on the disk that uploads are received on."""

    def receive(self, diagnosis_id: str) -> Path:
        """A new folder on this machine to write an upload into; `discard` ends it, after `accept` or instead of it."""

    def accept(self, diagnosis_id: str) -> None:
        """Make a received upload durable and give it its place."""

    def discard(self, diagnosis_id: str) -> None:
        """Drop what is left of a received upload here."""

    def fetch_upload(self, diagnosis_id: str, upload: Upload, target: Path) -> None:
        """Put an uploaded file to this path, for reading only.

        Raises:
            NotFound: it has been removed.
            NoRoomError: it does not fit.
            UploadDamagedError: it is not what was received.
        """

    def put_output(self, diagnosis_id: str, attempt: int, name: str, source: Path) -> None:
        """Move a file that a run has written to its place."""

    def write_output(self, diagnosis_id: str, attempt: int, name: str, content: bytes) -> None:
        """Write a file as if a run had."""

    def link_output(self, source: tuple[str, int], target: tuple[str, int], name: str) -> None:
        """Let a run have a file of another run's, each a (diagnosis, attempt), as if it had written it."""

    def read_output(self, diagnosis_id: str, attempt: int, name: str) -> bytes:
        """The whole of a file that a run has written: of reports, which are small."""

    def output(self, diagnosis_id: str, attempt: int, name: str) -> Path | StoredObject:
        """A file that a run has written, to be sent on."""

    def remove_attempt(self, diagnosis_id: str, attempt: int) -> None:
        """Remove what a run wrote that did not count."""

    def remove(self, diagnosis_id: str) -> None:
        """Remove everything of a diagnosis."""

    def doubt(self, diagnosis_id: str) -> None:
        """Leave the files of a diagnosis whose row may be there or not; a later sweep removes them if it is not."""

    def sweep(self, known: Known) -> int:
        """Remove what crashes have left: files without a row, uploads of dead processes. Returns how many."""

    def is_there(self) -> bool:
        """Whether the store answered when it was last asked. Costs nothing."""

    def probe(self) -> None:
        """Ask the store whether it is there, unless it has shown that just now."""

    def hurry_when(self, leaving: Callable[[], bool]) -> None:
        """From when this says so, give up instead of trying again."""

    def close(self) -> None:
        """Let go of everything, and drop what is being received."""


def sync(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
