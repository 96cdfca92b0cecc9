"""HDF5 files from strangers: no link, storage or virtual dataset that reaches outside, no loop, no absurd shape."""

from __future__ import annotations

import math
from typing import Any

import h5py

from analyzers.errors import ModelUnreadable, ModelUnsafe

MAX_OBJECTS = 200_000
"""Groups and datasets in one file. EfficientNetV2-L has 5193, optimizer slots included."""

MAX_DEPTH = 100
"""Nesting of groups: three for each level of nested models."""

MAX_DATASET_BYTES = 1 << 34
"""16 GiB in one dataset, as for a whole archive."""

BOMB_FLOOR_BYTES = 1 << 24
"""16 MiB: smaller datasets may be as empty as they like."""

MAX_EXPANSION = 100
"""How many times its stored size a dataset may declare. Keras stores weights unpacked."""

MAX_ATTRIBUTE_BYTES = 1 << 26
"""64 MiB in one attribute, twice what a configuration may have."""

WEIGHT_KINDS = "fiubVS"
"""NumPy's kinds of numbers, raw bytes (bfloat16 is stored so) and text of fixed length. References and data of free
length are none."""


def check_hdf5(file: h5py.File) -> None:
    """Walk every object of the file by its links, following none that could leave it.

    Raises:
        ModelUnsafe: external or soft links, external storage, virtual datasets, loops, absurd sizes or counts.
        ModelUnreadable: data of a kind that no weights have.
    """
    seen: set[Any] = set()
    open_groups: list[tuple[Any, int]] = [(file.id, 0)]
    while open_groups:
        group, depth = open_groups.pop()
        for name in group:
            item = _checked_child(group, name)
            if len(seen) >= MAX_OBJECTS or depth > MAX_DEPTH:
                raise ModelUnsafe(
                    "The weights file has more groups, or deeper ones, than any model. Save the model again with Keras."
                )
            address = h5py.h5o.get_info(item).addr
            if address in seen:
                raise ModelUnsafe(f"The weights file reaches {_shown(name)} by two ways. Save the model with Keras.")
            seen.add(address)
            if isinstance(item, h5py.h5g.GroupID):
                open_groups.append((item, depth + 1))


def attribute(item: Any, name: str) -> Any:
    """An attribute's value; None where there is none, or where it is a list of texts of free length: HDF5 takes as much
    memory for each as the file claims that it has.

    Raises:
        ModelUnsafe: absurdly large.
    """
    attributes = item.attrs
    if name not in attributes:
        return None
    found = attributes.get_id(name)
    count = math.prod(found.shape or ())
    if found.shape is None or not count:
        return []  # HDF5 fails where it is asked for the size of nothing
    if max(count * found.dtype.itemsize, found.get_storage_size()) > MAX_ATTRIBUTE_BYTES:
        raise ModelUnsafe(
            f"The file's attribute {_shown(name)} is larger than {MAX_ATTRIBUTE_BYTES >> 20} MiB. Save the model again."
        )
    return None if found.dtype.kind == "O" and found.shape else attributes[name]


def children(group: h5py.Group) -> list[tuple[str, Any]]:
    """Names and what they lead to, in the order of the file; of a file that was checked. Cheaper than `items`."""
    found = []
    for name in group.id:
        item = h5py.h5o.open(group.id, name)
        kind = h5py.Group if isinstance(item, h5py.h5g.GroupID) else h5py.Dataset
        if isinstance(item, h5py.h5g.GroupID | h5py.h5d.DatasetID):
            found.append((name.decode(errors="surrogateescape"), kind(item)))
    return found


def _checked_child(group: Any, name: bytes) -> Any:
    """Opened by HDF5's own handles: what h5py builds around them costs a fifth of the whole pass over a large file."""
    if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise ModelUnsafe(
            f"The weights file holds a link at {_shown(name)} instead of data; a link may lead to any file of the "
            "reader. Save the model with Keras."
        )
    item = h5py.h5o.open(group, name)
    if isinstance(item, h5py.h5d.DatasetID):
        _check_dataset(item, name)
    return item


def _check_dataset(dataset: Any, name: bytes) -> None:
    how = dataset.get_create_plist()
    if how.get_external_count() or how.get_layout() == h5py.h5d.VIRTUAL:
        raise ModelUnsafe(f"The data of {_shown(name)} is kept in another file. Save the model with Keras.")
    kind = dataset.dtype
    if kind.kind not in WEIGHT_KINDS:
        raise ModelUnreadable(f"The weights file holds no numbers at {_shown(name)}.")
    nbytes = math.prod(dataset.shape or ()) * kind.itemsize
    stored = dataset.get_storage_size()
    if nbytes > MAX_DATASET_BYTES or (nbytes > BOMB_FLOOR_BYTES and nbytes > MAX_EXPANSION * stored):
        raise ModelUnsafe(
            f"The weights file declares {nbytes >> 20} MiB at {_shown(name)} and stores {stored >> 10} KiB of it. "
            "Save the model again with Keras."
        )


def _shown(name: str | bytes) -> str:
    shown = name if isinstance(name, str) else name.decode(errors="replace")
    return repr(shown[:80])
