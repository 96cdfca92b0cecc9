"""HDF5 batches: datasets `x`, `y`, `sample_weight` at the top. Nothing that could lead out of the file is followed.

Datasets too large to hold are mapped: in place where they lie in one piece, else unpacked to a file chunk by chunk.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from analyzers.batches.lazy import PIECE_BYTES, Array
from analyzers.batches.limits import (
    MAX_CHUNK_BYTES,
    MAX_MEMBERS,
    check_size,
    check_text,
    check_total,
    declared_bytes,
    mib,
)
from analyzers.batches.names import is_wanted, listing, raw_from_named
from analyzers.batches.scratch import Scratch
from analyzers.batches.spec import RawBatch
from analyzers.errors import BatchUnreadable

TEXT_AT_ONCE_BYTES = 1 << 28
"""256 MiB that strings of free length may take in one read. No string is longer than the file, and nothing in the file
says before the read how long one is: a million entries may all refer to the same long one."""


def read_hdf5(path: Path, label: str | None, scratch: Scratch) -> RawBatch:
    """The datasets of an HDF5 file by their names, `label` being that of the labels.

    Raises:
        BatchUnreadable: links, external or virtual data, references, rows of free length, absurd sizes.
    """
    with h5py.File(path, "r") as file:
        if len(file) > MAX_MEMBERS:
            raise BatchUnreadable(
                f"The file has {len(file)} entries, more than the {MAX_MEMBERS} that a batch may have."
            )
        names = list(file)
        datasets = {name: _dataset(file, name) for name in names if is_wanted(name, label)}
        check_total(sum(_declared(item) for item in datasets.values()))
        arrays = {name: _values(path, name, item, scratch) for name, item in datasets.items()}
        return raw_from_named(arrays, names, label)


def _dataset(file: h5py.File, name: str) -> Any:
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise BatchUnreadable(
            f"{listing([name])} is a link; links may lead to any file of the reader. Store the data itself."
        )
    item = file[name]
    if not isinstance(item, h5py.Dataset):
        raise BatchUnreadable(f"{listing([name])} is a group. Store one dataset under that name.")
    if item.external or item.is_virtual:
        raise BatchUnreadable(f"The data of {listing([name])} is kept in another file. Store the data itself.")
    check_size(name, _declared(item), item.id.get_storage_size())
    if item.chunks and (chunk := declared_bytes(item.chunks, item.dtype.itemsize)) > MAX_CHUNK_BYTES:
        raise BatchUnreadable(
            f"{listing([name])} is stored in chunks of {mib(chunk)}, and one may have {mib(MAX_CHUNK_BYTES)}. Write it "
            "with `chunks=True`."
        )
    return item


def _declared(dataset: Any) -> int:
    if dataset.shape is None:
        raise BatchUnreadable("A dataset of the batch is empty. Write the file again.")
    return declared_bytes(dataset.shape, dataset.dtype.itemsize)


def _values(path: Path, name: str, dataset: Any, scratch: Scratch) -> Array:
    if dataset.dtype.kind == "O":
        if h5py.check_string_dtype(dataset.dtype) is None:
            raise BatchUnreadable(
                f"`{name}` holds references or rows of different lengths. Store one rectangular array."
            )
        return _texts(path, name, dataset)
    if scratch.holds(_declared(dataset)):
        values: Array = dataset[()]
        return values
    offset = dataset.id.get_offset()
    if offset is not None and dataset.dtype.kind in "iufS":
        in_place: Array = np.memmap(path, dtype=dataset.dtype, mode="r", offset=offset, shape=dataset.shape)
        return in_place
    return _unpacked(dataset, scratch)


def _unpacked(dataset: Any, scratch: Scratch) -> Array:
    """The dataset in a file of its own; each chunk is unpacked once."""
    made = scratch.array(dataset.shape, dataset.dtype)
    row_bytes = max(_declared(dataset) // dataset.shape[0], 1)
    together = dataset.chunks[0] if dataset.chunks else 1
    if together * row_bytes <= max(PIECE_BYTES, MAX_CHUNK_BYTES // 4):
        step = together * max(PIECE_BYTES // (together * row_bytes), 1)
        for start in range(0, dataset.shape[0], step):
            made[start : start + step] = dataset[start : start + step]
    else:
        for chunk in dataset.iter_chunks():
            made[chunk] = dataset[chunk]
    return made


def _texts(path: Path, name: str, dataset: Any) -> Array:
    """Strings of free length as bytes, in an array of objects, read so few at a time that they must fit."""
    if len(dataset.shape) not in (1, 2):
        raise BatchUnreadable(
            f"`{name}` holds strings of free length in the shape {dataset.shape}; one or two axes are read. Store them "
            "as strings of a fixed length."
        )
    check_text(0, math.prod(dataset.shape))
    made, total = np.empty(dataset.shape, dtype=object), 0
    for block in _blocks(dataset.shape, max(TEXT_AT_ONCE_BYTES // path.stat().st_size, 1)):
        made[block] = dataset[block]
        total += sum(map(len, made[block].flat))
        check_text(total, 0)
    return made


def _blocks(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    """Blocks of no more than `most` elements that cover an array of one or two axes."""
    inner = math.prod(shape[1:])
    if len(shape) == 1 or inner <= most:
        step = max(most // max(inner, 1), 1)
        yield from ((slice(start, start + step),) for start in range(0, shape[0], step))
        return
    for row in range(shape[0]):
        yield from ((slice(row, row + 1), slice(start, start + most)) for start in range(0, inner, most))
