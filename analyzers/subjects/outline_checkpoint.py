"""The outline of a TensorFlow checkpoint in an archive: names, shapes and small vectors, without the model.

Names are those of the variables where the checkpoint keeps its object graph, else its keys.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from analyzers.errors import ModelUnreadable, UnsupportedModelFormat
from analyzers.subjects.outline_facts import Normalizing, Outline, Stored, judged, moved
from analyzers.subjects.outline_legacy import MEANS, VARIANCES
from analyzers.subjects.saved_model_archive import INDEX, SHARD, unpack_members
from analyzers.subjects.small_vectors import LONGEST, MAX_READ_VALUES, MAX_READS

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
NO_LAYERS = re.compile(r"(^|/)(_?optimizer|\.OPTIMIZER_SLOT|keras_api|save_counter|global_step|_CHECK\w+)(/|$)")
"""Keys beside layers: slots of optimizers, metrics, counters."""

STEPS = re.compile(r"(^|/)_?optimizer/(iter|_?iterations)$|^global_step$")


def read_checkpoint(path: Path, names: list[str]) -> Outline:
    """The outline of the checkpoint in the archive at `path`, whose members have these names.

    Raises:
        UnsupportedModelFormat: several checkpoints.
        ModelUnreadable: damaged, or a shard is missing.
        ModelUnsafe: the archive reaches outside itself or unpacks to absurd sizes.
    """
    prefixes = sorted(n.removesuffix(INDEX) for n in names if n.endswith(INDEX))
    if len(prefixes) > 1:
        raise UnsupportedModelFormat(f"The archive holds {len(prefixes)} checkpoints. Send one, the last.")
    shards = [n for n in names if n.startswith(prefixes[0] + ".data-") and SHARD.search(n)]
    if len(shards) != int(shards[0].rpartition("-")[2] if shards else 1):
        raise ModelUnreadable("The checkpoint is incomplete: a file with its data is missing. Pack all of its files.")
    with tempfile.TemporaryDirectory() as folder:
        unpack_members(path, Path(folder), lambda name: name in (*shards, prefixes[0] + INDEX))
        return _outline(tf.train.load_checkpoint(str(Path(folder) / prefixes[0])))


def _outline(reader: Any) -> Outline:
    shapes: dict[str, list[int]] = reader.get_variable_to_shape_map()
    budget = _Vectors(reader, shapes)
    layers = _layers(shapes, _full_names(reader) if GRAPH in shapes else {})
    normalizing = [_normalizing(path, own, budget) for path, own in layers.items() if _pair(own)]
    small = [v for own in layers.values() for key in _parameters(own) if (v := budget.read(key)) is not None]
    return Outline(
        format="checkpoint",
        layers=len(layers),
        normalizing=normalizing,
        optimizer_iterations=_steps(reader, shapes),
        parameters=sum(int(np.prod(shapes[key])) for own in layers.values() for key in own.values()),
        moved=moved(small),
    )


class _Vectors:
    """Reads vectors until a budget is used up; then, and for all that is no small vector, gives None."""

    def __init__(self, reader: Any, shapes: dict[str, list[int]]) -> None:
        self._reader, self._shapes, self._types = reader, shapes, reader.get_variable_to_dtype_map()
        self._values_left, self._reads_left = MAX_READ_VALUES, MAX_READS

    def read(self, key: str) -> np.ndarray[Any, Any] | None:
        """The values of a float vector, (n,)."""
        shape = self._shapes[key]
        fits = len(shape) == 1 and 0 < shape[0] <= min(LONGEST, self._values_left) and self._reads_left
        if not fits or not self._types[key].is_floating:
            return None
        self._reads_left -= 1
        self._values_left -= shape[0]
        return np.asarray(self._reader.get_tensor(key)).astype(np.float64)


def _layers(shapes: dict[str, list[int]], full_names: dict[str, str]) -> dict[str, dict[str, str]]:
    """The keys of every layer's variables by what they are, by the layer's path."""
    found: dict[str, dict[str, str]] = {}
    for key in sorted(shapes):
        if not NO_LAYERS.search(key):
            place, _, variable = key.removesuffix(VALUE).rpartition("/")
            name = full_names.get(key, "").partition(":")[0]
            path = name.rpartition("/")[0] if name.rpartition("/")[2] == variable else ""
            found.setdefault(path or place or "model", {}).setdefault(variable, key)
    return found


def _full_names(reader: Any) -> dict[str, str]:
    """The name that each variable had in its program, by key."""
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor(GRAPH))
    return {a.checkpoint_key: a.full_name for node in graph.nodes for a in node.attributes}


def _pair(own: dict[str, str]) -> tuple[str, str] | None:
    mean = next((own[n] for n in MEANS if n in own), None)
    variance = next((own[n] for n in VARIANCES if n in own), None)
    return None if mean is None or variance is None else (mean, variance)


def _parameters(own: dict[str, str]) -> Iterator[str]:
    yield from (key for name, key in own.items() if name not in (*MEANS, *VARIANCES, "mean", "variance", "count"))


def _normalizing(path: str, own: dict[str, str], budget: _Vectors) -> Normalizing:
    mean, variance = (budget.read(key) for key in _pair(own) or ())
    fits = mean is not None and variance is not None and mean.shape == variance.shape
    stored: Stored | None = judged(mean, variance) if fits and mean is not None and variance is not None else None
    return Normalizing(path, "BatchNormalization", stored.channels if stored else None, stored=stored)


def _steps(reader: Any, shapes: dict[str, list[int]]) -> int | None:
    counts = [key for key, shape in shapes.items() if shape == [] and STEPS.search(key.removesuffix(VALUE))]
    return int(reader.get_tensor(counts[0])) if counts else None
