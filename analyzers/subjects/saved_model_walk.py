"""Which loaded variable is which object of a SavedModel's object graph, and which tensor of its checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from analyzers.subjects.saved_model_layers import Objects

CHECKPOINT = "variables/variables"
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def loaded_variables(loaded: Any, objects: Objects) -> dict[int, Any]:
    """The variables of a loaded SavedModel by object number, found by walking both graphs side by side."""
    found: dict[int, Any] = {}
    seen, waiting = {0}, [(loaded, 0)]
    for thing, node in waiting:
        if node in objects.variables and isinstance(thing, tf.Variable):
            found[node] = thing
        there = _children(thing)
        for name, child in objects.children[node].items():
            if child not in seen and name in there:
                seen.add(child)
                waiting.append((there[name], child))
    return found


def _children(thing: Any) -> dict[str, Any]:
    """The named parts of a loaded object; functions and signatures have none that matter here."""
    if not hasattr(thing, "_trackable_children"):
        return {}
    try:
        return dict(thing._trackable_children())
    except (ValueError, TypeError, NotImplementedError):
        return {}


def checkpoint_keys(folder: Path, objects: Objects) -> dict[int, str]:
    """The names of the variables' tensors in the checkpoint, by object number."""
    reader = tf.train.load_checkpoint(str(folder / CHECKPOINT))
    if not reader.has_tensor(OBJECT_GRAPH):
        return {}
    saved = TrackableObjectGraph()
    saved.ParseFromString(reader.get_tensor(OBJECT_GRAPH))
    found: dict[int, str] = {}
    for node, number in _side_by_side(objects, saved):
        keys = [a.checkpoint_key for a in saved.nodes[number].attributes if a.name == "VARIABLE_VALUE"]
        if node in objects.variables and keys:
            found[node] = keys[0]
    return found


def _side_by_side(objects: Objects, saved: Any) -> Iterator[tuple[int, int]]:
    seen, waiting = {0}, [(0, 0)]
    for node, number in waiting:
        yield node, number
        there = {c.local_name: c.node_id for c in saved.nodes[number].children}
        for name, child in objects.children[node].items():
            if child not in seen and name in there:
                seen.add(child)
                waiting.append((child, there[name]))


def optimizer_steps(folder: Path) -> int | None:
    """The number of updates that the optimizer counted, where the checkpoint has it."""
    reader = tf.train.load_checkpoint(str(folder / CHECKPOINT))
    ends = [f"optimizer/{n}/.ATTRIBUTES/VARIABLE_VALUE" for n in ("_iterations", "iter")]
    key = next((k for e in ends for k in reader.get_variable_to_shape_map() if k.endswith(e)), None)
    return None if key is None else int(reader.get_tensor(key))
