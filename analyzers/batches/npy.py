"""NumPy's own files: `.npy` (one array, the inputs) and `.npz` (a zip of them). Objects are never unpickled.

The header of every array is read and held against the file before anything is allocated: it may declare any shape.
Arrays too large to hold are mapped: in place where they are stored as they are, else unpacked to a file.
"""

from __future__ import annotations

import shutil
import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from analyzers.batches.lazy import PIECE_BYTES, Array, spans
from analyzers.batches.limits import MAX_MEMBERS, check_size, check_total, declared_bytes
from analyzers.batches.names import is_wanted, listing, raw_from_named
from analyzers.batches.scratch import Scratch
from analyzers.batches.spec import RawBatch
from analyzers.errors import BatchUnreadable

MAX_HEADER_BYTES = 10_000
"""NumPy's own limit for a header that is parsed without trust; real ones are below 200 bytes."""

LOCAL_HEADER = struct.Struct("<26xHH")
"""The fixed part of what stands before a member's data in a zip; the lengths of the name and the extra field end it."""


def read_npy(path: Path, label: str | None, scratch: Scratch) -> RawBatch:
    """The array of a `.npy` file as the sole input. Raises BatchUnreadable, also where labels are asked for."""
    if label is not None and label != "y":
        raise BatchUnreadable(
            f"A .npy file holds the inputs alone, so there is no {listing([label])} in it. Send .npz with `x` and `y`."
        )
    size = path.stat().st_size
    with path.open("rb") as file:
        _check_header(file, "x", size)
        if not scratch.holds(size):
            return RawBatch(x={"": _mapped(path, 0, scratch)})
        file.seek(0)
        return RawBatch(x={"": _read_array(file)})


def read_npz(path: Path, label: str | None, scratch: Scratch) -> RawBatch:
    """The arrays of a `.npz` archive by their names, `label` being that of the labels. Raises BatchUnreadable."""
    with zipfile.ZipFile(path) as archive:
        members = _members(archive, path.stat().st_size)
        wanted = {name: info for name, info in members.items() if is_wanted(name, label)}
        check_total(sum(info.file_size for info in wanted.values()))
        arrays = {name: _read_member(archive, path, name, info, scratch) for name, info in wanted.items()}
    return raw_from_named(arrays, members, label)


def _members(archive: zipfile.ZipFile, archive_size: int) -> dict[str, zipfile.ZipInfo]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > MAX_MEMBERS:
        raise BatchUnreadable(
            f"The archive has {len(infos)} members, more than the {MAX_MEMBERS} that a batch may have."
        )
    members = {info.filename.removesuffix(".npy"): info for info in infos}
    if len(members) < len(infos):
        raise BatchUnreadable("The archive has two arrays of the same name. Write it again with `np.savez`.")
    for name, info in members.items():
        _check_member(name, info, archive_size)
    return members


def _check_member(name: str, info: zipfile.ZipInfo, archive_size: int) -> None:
    if info.flag_bits & 0x1:
        raise BatchUnreadable("The archive is encrypted. Send it without a password.")
    if info.header_offset + info.compress_size > archive_size:
        raise BatchUnreadable(f"The archive is cut short: `{name}` ends beyond its end. Send it again.")
    check_size(name, info.file_size, info.compress_size)


def _read_member(archive: zipfile.ZipFile, path: Path, name: str, info: zipfile.ZipInfo, scratch: Scratch) -> Array:
    if not info.filename.endswith(".npy"):
        raise BatchUnreadable(f"{listing([name])} in the archive is no NumPy array. Write it with `np.savez`.")
    with archive.open(info) as file:
        _check_header(file, name, info.file_size)
    with archive.open(info) as file:
        if scratch.holds(info.file_size):
            return _read_array(file)
        if info.compress_type == zipfile.ZIP_STORED:
            while file.read(PIECE_BYTES):  # to its end, where the checksum is compared
                pass
            return _mapped(path, _start_of(path, info), scratch)
        target = scratch.file(info.file_size)
        with target.open("r+b") as unpacked:
            shutil.copyfileobj(file, unpacked, PIECE_BYTES)
    return _mapped(target, 0, scratch)


def _start_of(path: Path, info: zipfile.ZipInfo) -> int:
    """Where the data of a member begin in the archive."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name_length, extra_length = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return info.header_offset + LOCAL_HEADER.size + int(name_length) + int(extra_length)


def _mapped(path: Path, start: int, scratch: Scratch) -> Array:
    """The array that begins at `start`, its header checked already; rows of it lie side by side."""
    with path.open("rb") as file:
        file.seek(start)
        shape, dtype, by_columns = _header(file)
        offset = file.tell()
    order: Any = "F" if by_columns else "C"
    mapped: Array = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape, order=order)
    if not by_columns or mapped.flags.c_contiguous:
        return mapped
    rows = scratch.array(shape, dtype)
    for span in spans(mapped):
        rows[span] = mapped[span]
    return rows


def _check_header(file: IO[bytes], name: str, available: int) -> None:
    """Refuse what the header declares before NumPy believes it; `available` is the bytes from the file's start."""
    shape, dtype, _ = _header(file)
    if dtype.hasobject:
        raise BatchUnreadable(
            f"`{name}` holds Python objects, which are stored as a pickle, and a pickle can run code: it is not "
            "opened. Save it as numbers, such as `np.asarray(x, dtype='float32')`, or text as "
            "`np.asarray(x, dtype='U')`; rows of different lengths need padding."
        )
    if dtype.names:
        raise BatchUnreadable(
            f"`{name}` holds records with the fields {listing(list(dtype.names))} in place of plain numbers. Save each "
            "field as an array of its own, or all of them as the columns of one."
        )
    needed = declared_bytes(shape, dtype.itemsize)
    check_size(name, needed)
    if needed > available - file.tell():
        raise BatchUnreadable(
            f"`{name}` declares the shape {shape}, {needed} bytes, but the file holds "
            f"{max(available - file.tell(), 0)} bytes of it: it is cut short or damaged."
        )


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Shape and type, and whether columns lie side by side instead of rows; the file then stands at the data."""
    version = npy_format.read_magic(file)
    readers = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    if version not in readers:
        raise BatchUnreadable(
            "An array of the batch has a header that only structured arrays need. Save plain numbers."
        )
    shape, by_columns, dtype = readers[version](file, max_header_size=MAX_HEADER_BYTES)
    return tuple(shape), dtype, bool(by_columns)


def _read_array(file: IO[bytes]) -> Array:
    array: Array = npy_format.read_array(file, allow_pickle=False, max_header_size=MAX_HEADER_BYTES)
    return array
