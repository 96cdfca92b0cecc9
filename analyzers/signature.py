"""What a model takes and gives, as the batch readers want to know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from analyzers.batches import RawBatch, TensorSpec
from analyzers.batches.values import dtype_of
from analyzers.running import explained
from analyzers.subjects.families import is_legacy


def specs(model: Any, raw: RawBatch) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Inputs and outputs in the model's own order, the batch axis first.

    A subclassed model tells no more than what it was built with, if that: then its inputs are taken to be what was
    sent, and its outputs are those of one sample.

    Raises:
        BatchMismatch: a subclassed model cannot run on what was sent.
    """
    if getattr(model, "inputs", None):
        taken = _keys(getattr(model, "_inputs_struct", getattr(model, "_nested_inputs", None)))
        given = _keys(getattr(model, "_outputs_struct", getattr(model, "_nested_outputs", None)))
        inputs = _named(model.inputs, getattr(model, "input_names", None), taken)
        outputs = _named(model.outputs, getattr(model, "output_names", None), given)
        # Keras 3 judges a dictionary of outputs by its keys, Keras 2 by the names of layers.
        return inputs, outputs if is_legacy(model) else [_by_key(s) for s in outputs]
    packed = structure(model, raw)
    wanted = sorted(packed) if isinstance(packed, dict) else list(raw.x)
    sent = {k: raw.x[k] for k in wanted if k in raw.x}
    inputs = [TensorSpec(k or "x", (None, *a.shape[1:]), dtype_of(a)) for k, a in sent.items()]
    if len(sent) < len(wanted):
        return [TensorSpec(k, (), "float32") for k in wanted], []
    first = [keras.ops.convert_to_tensor(a[:1]) for a in sent.values()]
    with explained():
        outputs = keras.tree.flatten(model(pack(packed, first), training=False))
    return inputs, [TensorSpec(f"output_{i}", (None, *o.shape[1:]), str(o.dtype)) for i, o in enumerate(outputs)]


def structure(model: Any, raw: RawBatch) -> Any:
    """How a subclassed model takes its inputs: a dictionary or list with an entry for each, or None for a bare one.

    It is what the model was built with, or else what the names in the batch make of it. None also for other models.
    """
    if getattr(model, "inputs", None):
        return None
    shapes = getattr(model, "_build_shapes_dict", None) or {}
    told = next(iter(shapes.values())) if len(shapes) == 1 else None
    if isinstance(told, Mapping):
        return dict.fromkeys(sorted(told), 0)
    names = list(raw.x)
    if len(names) > 1 and not any(name.isdecimal() for name in names) and not isinstance(told, list | tuple):
        return dict.fromkeys(sorted(names), 0)
    return [0] * len(names) if len(names) > 1 else None


def pack(packed: Any, tensors: Sequence[Any]) -> Any:
    """Inputs in their order as a model takes them."""
    if packed is not None:
        return keras.tree.pack_sequence_as(packed, list(tensors))
    return tensors[0] if len(tensors) == 1 else list(tensors)


def _keys(struct: Any) -> list[str | None]:
    """Under which key each tensor stands, in their order, where a model takes or gives dictionaries.

    The innermost key counts, as long as no other tensor has the same.
    """
    if not isinstance(struct, Mapping | list | tuple):
        return []
    found = [_innermost(path) for path, _ in keras.tree.flatten_with_path(struct)]
    return [key if found.count(key) == 1 else None for key in found]


def _innermost(path: Sequence[Any]) -> str | None:
    return next((step for step in reversed(path) if isinstance(step, str)), None)


def _by_key(spec: TensorSpec) -> TensorSpec:
    """The key as the name, and the name as the alias."""
    return spec if spec.alias is None else replace(spec, name=spec.alias, alias=spec.name)


def _named(tensors: Sequence[Any], names: Sequence[str] | None, keys: Sequence[str | None]) -> list[TensorSpec]:
    given = list(names) if names and len(names) == len(tensors) else [t.name for t in tensors]
    aliases = keys if len(keys) == len(tensors) else [None] * len(tensors)
    return [
        TensorSpec(n, tuple(t.shape), keras.backend.standardize_dtype(t.dtype), None if a == n else a)
        for n, t, a in zip(given, tensors, aliases, strict=True)
    ]
