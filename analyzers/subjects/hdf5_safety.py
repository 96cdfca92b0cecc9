"""HDF5 files from strangers: no link, storage or virtual dataset that reaches outside, no loop, no absurd shape."""

from __future__ import annotations

import math
from typing import Any

import h5py

from analyzers.errors import ModelUnreadable, ModelUnsafe
from analyzers.subjects.hdf5_tree import Branch, Data

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


def check_hdf5(file: h5py.File) -> Branch:
    """Walk every object of the file by its links, following none that could leave it; what it holds.

    Raises:
        ModelUnsafe: external or soft links, external storage, virtual datasets, loops, absurd sizes or counts.
        ModelUnreadable: data of a kind that no weights have.
    """
    seen: set[Any] = set()
    root = Branch(file.id)
    open_groups = [(root, 0)]
    while open_groups:
        group, depth = open_groups.pop()
        for name in group.id:
            item = _checked_child(group.id, name)
            if len(seen) >= MAX_OBJECTS or depth > MAX_DEPTH:
                raise ModelUnsafe(
                    "The weights file has more groups, or deeper ones, than any model. Save the model again with Keras."
                )
            address = h5py.h5o.get_info(item).addr
            if address in seen:
                raise ModelUnsafe(f"The weights file reaches {_shown(name)} by two ways. Save the model with Keras.")
            seen.add(address)
            key = name.decode(errors="surrogateescape")
            if isinstance(item, h5py.h5d.DatasetID):
                group.children[key] = _checked_dataset(item, name)
            elif isinstance(item, h5py.h5g.GroupID):
                group.children[key] = branch = Branch(item)
                open_groups.append((branch, depth + 1))
    return root


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


def _checked_child(group: Any, name: bytes) -> Any:
    """Opened by HDF5's own handles: what h5py builds around them costs a fifth of the whole pass over a large file."""
    if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise ModelUnsafe(
            f"The weights file holds a link at {_shown(name)} instead of data; a link may lead to any file of the "
            "reader. Save the model with Keras."
        )
    return h5py.h5o.open(group, name)


def _checked_dataset(dataset: Any, name: bytes) -> Data:
    how = dataset.get_create_plist()
    layout = how.get_layout()
    if how.get_external_count() or layout == h5py.h5d.VIRTUAL:
        raise ModelUnsafe(f"The data of {_shown(name)} is kept in another file. Save the model with Keras.")
    kind, shape = dataset.dtype, dataset.shape
    if kind.kind not in WEIGHT_KINDS:
        raise ModelUnreadable(f"The weights file holds no numbers at {_shown(name)}.")
    nbytes = math.prod(shape or ()) * kind.itemsize
    if nbytes > BOMB_FLOOR_BYTES:
        _check_size(nbytes, dataset.get_storage_size(), name)
    chunk = math.prod(how.get_chunk()) if layout == h5py.h5d.CHUNKED else 0
    return Data(dataset, (0,) if shape is None else shape, kind, chunk)


def _check_size(declared: int, stored: int, name: bytes) -> None:
    if declared > MAX_DATASET_BYTES or declared > MAX_EXPANSION * stored:
        raise ModelUnsafe(
            f"The weights file declares {declared >> 20} MiB at {_shown(name)} and stores {stored >> 10} KiB of it. "
            "Save the model again with Keras."
        )


def _shown(name: str | bytes) -> str:
    shown = name if isinstance(name, str) else name.decode(errors="replace")
    return repr(shown[:80])
