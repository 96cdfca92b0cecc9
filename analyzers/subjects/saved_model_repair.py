"""A SavedModel written back with other moving statistics: same archive, same graph, other values in its checkpoint.

TensorFlow's own writer makes the checkpoint anew from the tensors of the old one, so index and checksums are right. It
is then read back and compared with the upload, tensor by tensor and byte by byte.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef
from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

from analyzers.errors import ModelUnreadable
from analyzers.subjects.saved_model_archive import repack, unpack
from analyzers.subjects.saved_model_layers import Objects, TracedVariable, read_objects
from analyzers.subjects.saved_model_safety import read_graph
from analyzers.subjects.saved_model_walk import CHECKPOINT, checkpoint_keys

Values = dict[str, Any]
FINGERPRINT = "fingerprint.pb"


def write_saved_model(
    upload: Path, destination: Path, replacements: Sequence[tuple[TracedVariable, Any]]
) -> dict[str, Any]:
    """Write a copy of `upload` to `destination` in which only the variables of `replacements` have new values.

    Returns:
        The manifest; see `analyzers.subjects.repair.write_repaired`. `identical_datasets` counts tensors.

    Raises:
        ModelUnreadable: a variable is not in the checkpoint, or what was written is not what was meant.
    """
    with tempfile.TemporaryDirectory() as scratch:
        old, new = Path(scratch) / "old", Path(scratch) / "new"
        root = unpack(upload, old)
        folder = old / root
        values = _values(folder)
        meant = _meant(folder, values, replacements)
        _write_checkpoint(new / CHECKPOINT, {**values, **meant})
        contents = _contents(folder, new)
        kept = repack(upload, destination, root, contents)
        again = Path(scratch) / "again"
        _check(values, meant, _values(again / unpack(destination, again)))
        return {
            "format": "saved_model",
            "rewritten": False,
            "changed": [_change(key, values[key], value) for key, value in sorted(meant.items())],
            "identical_datasets": len(values) - len(meant),
            "identical_members": kept,
        }


def _values(folder: Path) -> Values:
    """Every tensor of the checkpoint, its graph of objects among them."""
    reader = tf.train.load_checkpoint(str(folder / CHECKPOINT))
    return {key: _array(reader.get_tensor(key)) for key in sorted(reader.get_variable_to_shape_map())}


def _array(value: Any) -> Any:
    """Text as an object: NumPy's own text type would cut zeros off its end."""
    return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)


def _meant(folder: Path, values: Values, replacements: Sequence[tuple[TracedVariable, Any]]) -> Values:
    """New values by checkpoint key. An export may hold copies of a variable: those of one name and value go along."""
    objects = read_objects(read_graph(folder))
    keys = checkpoint_keys(folder, objects)
    meant: Values = {}
    for variable, value in replacements:
        if variable.key not in keys or keys[variable.key] not in values:
            raise ModelUnreadable(f"The SavedModel's checkpoint has no `{variable.path}`, so it cannot be repaired.")
        was = values[keys[variable.key]]
        for node in _copies(objects, variable.key):
            key = keys.get(node)
            if key in values and values[key].shape == was.shape and values[key].tobytes() == was.tobytes():
                meant[key] = np.asarray(value).astype(was.dtype)
    return meant


def _copies(objects: Objects, node: int) -> list[int]:
    return [n for n, name in objects.variables.items() if n == node or name == objects.variables[node]]


def _write_checkpoint(prefix: Path, values: Values) -> None:
    prefix.parent.mkdir(parents=True)
    names = list(values)
    tensors = [tf.constant(v, tf.string) if v.dtype == object else tf.constant(v) for v in values.values()]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)


def _contents(old: Path, new: Path) -> Mapping[str, Path | None]:
    """What takes the place of what in the archive: the checkpoint, and its hash in the fingerprint."""
    folder = Path(CHECKPOINT).parent
    contents: dict[str, Path | None] = {
        str(folder / p.name): None for p in (old / folder).iterdir() if p.name.startswith("variables.")
    }
    contents.update({str(folder / p.name): p for p in (new / folder).iterdir()})
    if (old / FINGERPRINT).exists():
        contents[FINGERPRINT] = _fingerprint(old, new)
    return contents


def _fingerprint(old: Path, new: Path) -> Path:
    """The upload's fingerprint with the hash of the new checkpoint; one made anew where the upload's is damaged."""
    (new / "saved_model.pb").write_bytes((old / "saved_model.pb").read_bytes())
    fresh = FingerprintDef()
    fresh.ParseFromString(fingerprinting.CreateFingerprintDef(str(new)))
    fingerprint = FingerprintDef()
    try:
        fingerprint.ParseFromString((old / FINGERPRINT).read_bytes())
    except DecodeError:  # the model loads without it, so it is no reason to withhold the repaired one
        fingerprint = fresh
    fingerprint.checkpoint_hash = fresh.checkpoint_hash
    (new / FINGERPRINT).write_bytes(fingerprint.SerializeToString(deterministic=True))
    return new / FINGERPRINT


def _check(old: Values, meant: Values, new: Values) -> None:
    """Whether exactly the tensors that were meant differ, and have the values that were meant."""
    expected = {**old, **meant}
    same = old.keys() == new.keys() and all(_bytes(new[k]) == _bytes(expected[k]) for k in expected)
    if not same:
        raise ModelUnreadable("The repaired SavedModel does not read back as it was meant; it is not given out.")


def _bytes(value: Any) -> Any:
    return value.tolist() if value.dtype == object else value.tobytes()


def _change(key: str, was: Any, becomes: Any) -> dict[str, Any]:
    difference = np.abs(becomes.astype(np.float64) - was.astype(np.float64))
    largest = float(np.max(difference, initial=0.0))
    text = "NaN" if np.isnan(largest) else "Infinity"
    path = key.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE")
    return {
        "path": path,
        "shape": list(was.shape),
        "max_absolute_change": largest if np.isfinite(largest) else text,
    }
