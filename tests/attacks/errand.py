"""How a file is opened by those who trust it: no static pass, no safe mode, and then the model is run.

What was read this way goes into a file, so that a secret in it is found.
"""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pyarrow.csv
import pyarrow.parquet
import tensorflow as tf
import tf_keras

MOST_VALUES = 4096
"""Values looked at in one array: the secret is short, a bomb is not."""

SAMPLES = 32
"""Rows that a SavedModel is called with: what it returns is a matter of their number."""

MOST_CODE = 1 << 20
"""Larger numbers are no codes of characters."""

SAID = "said: "
"""How the line begins that tells what was read."""


def attempt(model: Path, batch: Path, loader: str, tell: Callable[[str], Any]) -> None:
    """Open the hostile file, and run it where it is a model; `tell` gets one line that says what came of it."""
    said: dict[str, str] = {"ended": "ran"}
    try:
        said["read"] = "".join(_texts(LOADERS[loader](batch if loader == "batch" else model)))
    except BaseException as error:
        said = {"ended": "raised", "read": " <- ".join(_chain(error))}
    tell(SAID + json.dumps(said) + "\n")


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{type(error).__name__}: {error}"[:2000]
        error = error.__cause__ or error.__context__


def _keras(path: Path) -> Iterable[Any]:
    keras.config.enable_unsafe_deserialization()
    return _run(keras.saving.load_model(path, compile=True, safe_mode=False), keras.tree.flatten)


def _tf_keras(path: Path) -> Iterable[Any]:
    return _run(tf_keras.models.load_model(path, compile=True, safe_mode=False), tf.nest.flatten)


def _run(model: Any, flatten: Callable[[Any], list[Any]]) -> Iterable[Any]:
    inputs = [_input(tensor) for tensor in model.inputs]
    outputs = flatten(model(inputs if len(inputs) > 1 else inputs[0]))
    if getattr(model, "compiled", False):
        model.test_on_batch(inputs[0], np.zeros(outputs[0].shape))
    words = [layer.get_vocabulary() for layer in model.layers if hasattr(layer, "get_vocabulary")]
    return [*outputs, *model.weights, *map(np.asarray, words)]


def _input(tensor: Any) -> Any:
    shape = [size or 1 for size in tensor.shape]
    kind = tf.as_dtype(tensor.dtype)
    return tf.fill(shape, "a") if kind == tf.string else tf.ones(shape, kind)


def _hdf5(path: Path) -> Iterator[Any]:
    """Every dataset that can be reached, by whatever link."""
    with h5py.File(path) as file:
        waiting: list[Any] = [file]
        while waiting:
            item = waiting.pop()
            if isinstance(item, h5py.Dataset):
                yield item[()]
            else:
                waiting += item.values()


def _saved_model(path: Path) -> Iterable[Any]:
    """Unpacked as `unzip` and `tar` of old do, or Python's own where it is told to trust."""
    folder = Path("unpacked")
    folder.mkdir()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    else:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="fully_trusted")
    loaded = tf.saved_model.load(str(folder))
    x = tf.ones((SAMPLES, 4))
    call = loaded.__call__ if callable(loaded) else loaded.signatures["serving_default"]
    outputs = call(x, False) if len(call.concrete_functions[0].structured_input_signature[0]) > 1 else call(x)
    return tf.nest.flatten(outputs)


def _batch(path: Path) -> Iterable[Any]:
    if path.suffix in (".npz", ".npy"):
        held = np.load(path, allow_pickle=True)
        return [held] if path.suffix == ".npy" else [held[name] for name in held]
    if path.suffix == ".json":
        return [np.asarray(value) for value in json.loads(path.read_bytes()).values()]
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return [file[name][()] for name in file]
    read = pyarrow.csv.read_csv if path.suffix == ".csv" else pyarrow.parquet.read_table
    return [column.combine_chunks().to_numpy(zero_copy_only=False) for column in read(path).columns]


LOADERS = {"keras": _keras, "tf_keras": _tf_keras, "hdf5": _hdf5, "saved_model": _saved_model, "batch": _batch}


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """What may be a text in arrays: texts as they are, numbers as themselves and as codes of characters."""
    for value in values:
        array = np.asarray(value).reshape(-1)[:MOST_VALUES]
        if array.dtype.kind in "iuf":
            yield "".join(chr(int(v)) for v in array if 32 <= v < 127) + " "
            yield " ".join(str(v) for v in array if v > MOST_CODE) + " "
        else:
            yield " ".join(v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in array) + " "
