"""Spoiling HDF5 files by what they hold: attributes, the JSON in them, datasets, names."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import h5py
import numpy as np

from benchmarks.fuzz_static import JUNK, spoil_json

SPECIAL = (0.0, -1.0, 1e38, float("nan"), float("inf"))


def spoil_hdf5(content: bytes, draw: random.Random) -> bytes:
    """The file with one of its attributes, datasets or names changed."""
    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as file:
        items: list[Any] = [file]
        file.visititems(lambda _, item: items.append(item))
        attributes = [(item, name) for item in items for name in item.attrs if isinstance(name, str)]
        datasets = [item for item in items if isinstance(item, h5py.Dataset)]
        if attributes and draw.random() < 0.5:
            # The few that hold JSON are most of what such a file says.
            spoken = [pair for pair in attributes if pair[1].endswith("_config")]
            _attribute(*draw.choice(spoken if spoken and draw.random() < 0.5 else attributes), draw)
        elif datasets and draw.random() < 0.8:
            _dataset(file, draw.choice(datasets).name, draw)
        elif len(items) > 1:
            _name(file, draw.choice(items[1:]).name, draw)
    return stream.getvalue()


def _attribute(item: Any, name: str, draw: random.Random) -> None:
    from benchmarks.fuzz_cage.spoiling import nudged_json

    value = item.attrs[name]
    text = value.decode() if isinstance(value, bytes) else value
    if isinstance(text, str) and text.startswith("{"):
        spoil = draw.choice((nudged_json, spoil_json))
        changed: Any = spoil(text.encode(), draw).decode()
        item.attrs[name] = changed if len(changed) < 60_000 else changed[:60_000]
        return
    what = draw.randrange(6)
    if what == 0:
        del item.attrs[name]
    elif what == 1 and isinstance(value, np.ndarray) and value.size:
        item.attrs[name] = draw.choice((value[:-1], value[::-1], np.concatenate([value, value])))
    elif what == 2:
        item.attrs[name] = json.dumps(draw.choice(JUNK))[:2000]
    elif what == 3:
        item.attrs[name] = draw.choice((0, -1, 3.5, True))
    elif what == 4:
        item.attrs[name] = np.array([b"x", b"dense", b"../y", b"\xff"])
    else:
        item.attrs[name] = np.zeros((0,)) if draw.random() < 0.5 else h5py.Empty("f")


def _dataset(file: Any, name: str, draw: random.Random) -> None:
    value, kind = file[name][()], file[name].dtype
    what = draw.randrange(6)
    if what <= 1 and np.issubdtype(kind, np.number) and np.ndim(value):
        spot = draw.choice((slice(0, 1), slice(None)))
        with np.errstate(all="ignore"):
            value[spot] = np.asarray(draw.choice(SPECIAL)).astype(kind)
        file[name][...] = value
        return
    del file[name]
    array = np.asarray(value)
    if what == 2:
        file[name] = array.astype(draw.choice(("float64", "float16", "int8", "complex64"))) if kind.kind in "fiu" else 0
    elif what == 3:
        file[name] = draw.choice((array.T, array.reshape(-1), array[..., None], array[:1] if array.ndim else array))
    elif what == 4:
        file[name] = draw.choice((b"text", np.zeros((0, 3)), 1.0, np.array([b"a", b"bc"])))
    # Else it is gone.


def _name(file: Any, name: str, draw: random.Random) -> None:
    what, parent = draw.random(), name.rpartition("/")[0] or "/"
    if what < 0.3:
        del file[name]
    elif what < 0.6:
        file.move(name, f"{parent}/{draw.choice(('x', 'vars', 'layers', 'moving_mean:0', 'é'))}{draw.randrange(9)}")
    elif what < 0.8:
        file[f"{parent}/soft{draw.randrange(9)}"] = h5py.SoftLink(draw.choice(("/nowhere", name, parent)))
    else:
        file[f"{parent}/same{draw.randrange(9)}"] = file[name]
