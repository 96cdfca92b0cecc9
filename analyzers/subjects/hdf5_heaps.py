"""Texts of free length in an HDF5 file, checked before HDF5 reads them: on some broken heaps it would never return.

HDF5 keeps such texts in collections of objects, one after the other. It steps from one to the next by the size that
stands in each, and where that is 0 it stays for ever (`H5HG__cache_heap_deserialize`). Nothing in the process can stop
it, so collections are walked here first.
Source: HDF5 File Format Specification 3.0, III.E, "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import os
from io import BufferedIOBase

import numpy as np

from analyzers.errors import ModelUnreadable

SIGNATURE = b"GCOL"
HEADER_BYTES = 16
"""Of a collection, and of each object in it: what comes before its content."""

MAX_SCANNED_BYTES = 1 << 30
"""1 GiB takes half a second. In larger files the deadline of the job is what ends an endless loop."""

FREE_LENGTH = b"\x19"
"""The first byte of the type "free length", class 9 in version 1."""

PIECE_BYTES = 1 << 23
MAX_COLLECTIONS = 10_000


TEXTS = (b"model_config", b"training_config", b"keras_version", b"backend")
"""Attributes of the file itself that are one text each. Keras writes them first."""

FRONT_BYTES = 1 << 20
"""Where their messages are looked for; ahead of the weights, they start within the first kilobytes."""


def check_heaps(file: BufferedIOBase) -> None:
    """Walk all collections in `file`, and look at how long its texts claim to be.

    Raises:
        ModelUnreadable: a collection has no end, or a text is longer than the file: HDF5 would take memory for it first
            and look afterwards.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    front = file.read(FRONT_BYTES)
    if any(claim > size for name in TEXTS for claim in _claims(front, name + b"\0")):
        raise ModelUnreadable("The file is damaged: a text in it claims to be longer than the file. Send it again.")
    if size > MAX_SCANNED_BYTES:
        return
    for count, at in enumerate(_places(file, size)):
        if count >= MAX_COLLECTIONS or not _ends(file, at, size):
            raise ModelUnreadable("The model file is damaged: its table of names is broken. Send it again.")
    file.seek(0)


def _claims(front: bytes, name: bytes) -> list[int]:
    """How long the texts of this name claim to be. An attribute's message (version 1) is its name, type and shape, each
    filled up to 8 bytes, with their lengths before them; then comes the text's length and where it lies.
    """
    found, at = [], front.find(name)
    while at >= 0:
        lengths = [int.from_bytes(front[at - 6 + i : at - 4 + i], "little") for i in (0, 2, 4)]
        data = at + sum((length + 7) // 8 * 8 for length in lengths)
        type_at = at + (lengths[0] + 7) // 8 * 8
        if lengths[0] == len(name) and front[type_at : type_at + 1] == FREE_LENGTH:
            found.append(int.from_bytes(front[data : data + 4], "little"))
        at = front.find(name, at + 1)
    return found


def _places(file: BufferedIOBase, size: int) -> list[int]:
    """Where collections start. HDF5 writes them at multiples of 8; a few zeros after the version tell them from
    numbers.
    """
    wanted = np.frombuffer(SIGNATURE + b"\1\0\0\0", "<u8")[0]
    piece = np.empty(PIECE_BYTES // 8, "<u8")
    found: list[int] = []
    for start in range(0, size, PIECE_BYTES):
        file.seek(start)
        words = piece[: file.readinto(piece.data.cast("B")) // 8]  # one buffer for all: new pages cost as much
        found += [start + 8 * int(i) for i in np.flatnonzero(words == wanted)]
    return found


def _ends(file: BufferedIOBase, start: int, size: int) -> bool:
    """Whether steps through the collection at `start` lead out of it."""
    at, end = start + HEADER_BYTES, start + _number(file, start + 8, 8)
    while at + HEADER_BYTES <= min(end, size):
        index, length = _number(file, at, 2), _number(file, at + 8, 8)
        step = HEADER_BYTES + (length + 7) // 8 * 8 if index else length
        if step < HEADER_BYTES or at + step > end:
            return False
        at += step
    return True


def _number(file: BufferedIOBase, at: int, width: int) -> int:
    file.seek(at)
    return int.from_bytes(file.read(width), "little")
