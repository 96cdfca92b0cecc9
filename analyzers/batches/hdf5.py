"""HDF5 batches: datasets `x`, `y`, `sample_weight` at the top. Nothing that could lead out of the file is followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from analyzers.batches.limits import MAX_MEMBERS, check_size, check_total, declared_bytes
from analyzers.batches.names import is_wanted, listing, raw_from_named
from analyzers.batches.spec import Array, RawBatch
from analyzers.errors import BatchUnreadable


def read_hdf5(path: Path, label: str | None = None) -> RawBatch:
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
        return raw_from_named({name: _values(name, item) for name, item in datasets.items()}, names, label)


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
    return item


def _declared(dataset: Any) -> int:
    if dataset.shape is None:
        raise BatchUnreadable("A dataset of the batch is empty. Write the file again.")
    return declared_bytes(dataset.shape, dataset.dtype.itemsize)


def _values(name: str, dataset: Any) -> Array:
    if dataset.dtype.kind != "O":
        values: Array = dataset[()]
        return values
    if h5py.check_string_dtype(dataset.dtype) is None:
        raise BatchUnreadable(f"`{name}` holds references or rows of different lengths. Store one rectangular array.")
    return np.asarray(dataset.asstr()[()], dtype=str)
