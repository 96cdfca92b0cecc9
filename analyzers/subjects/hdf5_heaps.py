"""Texts of free length in an HDF5 file, checked before HDF5 reads them: on some broken heaps it would never return.

HDF5 keeps such texts in collections of objects, one after the other. It steps from one to the next by the size that
stands in each, and where that is 0 it stays for ever (`H5HG__cache_heap_deserialize`). Nothing in the process can stop
it, so collections are walked here first.
Source: HDF5 File Format Specification 3.0, III.E, "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import os
from typing import IO

import numpy as np

from analyzers.errors import ModelUnreadable

SIGNATURE = b"GCOL"
HEADER_BYTES = 16
"""Of a collection, and of each object in it: what comes before its content."""

MAX_SCANNED_BYTES = 1 << 30
"""1 GiB takes half a second. In larger files the deadline of the job is what ends an endless loop."""

PIECE_BYTES = 1 << 23
MAX_COLLECTIONS = 10_000


def check_heaps(file: IO[bytes]) -> None:
    """Walk all collections in `file`. Raises ModelUnreadable where one has no end."""
    size = file.seek(0, os.SEEK_END)
    if size > MAX_SCANNED_BYTES:
        return
    for count, at in enumerate(_places(file, size)):
        if count >= MAX_COLLECTIONS or not _ends(file, at, size):
            raise ModelUnreadable("The model file is damaged: its table of names is broken. Send it again.")
    file.seek(0)


def _places(file: IO[bytes], size: int) -> list[int]:
    """Where collections start. HDF5 writes them at multiples of 8; a few zeros after the version tell them from
    numbers.
    """
    wanted = np.frombuffer(SIGNATURE + b"\1\0\0\0", "<u8")[0]
    found: list[int] = []
    for start in range(0, size, PIECE_BYTES):
        file.seek(start)
        piece = file.read(PIECE_BYTES)
        words = np.frombuffer(piece, "<u8", count=len(piece) // 8)
        found += [start + 8 * int(i) for i in np.flatnonzero(words == wanted)]
    return found


def _ends(file: IO[bytes], start: int, size: int) -> bool:
    """Whether steps through the collection at `start` lead out of it."""
    at, end = start + HEADER_BYTES, start + _number(file, start + 8, 8)
    while at + HEADER_BYTES <= min(end, size):
        index, length = _number(file, at, 2), _number(file, at + 8, 8)
        step = HEADER_BYTES + (length + 7) // 8 * 8 if index else length
        if step < HEADER_BYTES or at + step > end:
            return False
        at += step
    return True


def _number(file: IO[bytes], at: int, width: int) -> int:
    file.seek(at)
    return int.from_bytes(file.read(width), "little")
