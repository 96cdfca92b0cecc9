"""What a model takes and gives, as the batch readers want to know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from analyzers.batches import RawBatch, TensorSpec
from analyzers.running import explained


def specs(model: Any, raw: RawBatch) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Inputs and outputs in the model's own order, the batch axis first.

    A subclassed model does not say: then its inputs are taken to be what was sent, and its outputs are those of one
    sample.

    Raises:
        BatchMismatch: a subclassed model cannot run on what was sent.
    """
    if getattr(model, "inputs", None):
        inputs = _named(model.inputs, getattr(model, "input_names", None))
        return inputs, _named(model.outputs, getattr(model, "output_names", None))
    inputs = [TensorSpec(k or "x", (None, *a.shape[1:]), str(a.dtype)) for k, a in raw.x.items()]
    first = [keras.ops.convert_to_tensor(a[:1]) for a in raw.x.values()]
    with explained():
        outputs = keras.tree.flatten(model(first[0] if len(first) == 1 else first, training=False))
    return inputs, [TensorSpec(f"output_{i}", (None, *o.shape[1:]), str(o.dtype)) for i, o in enumerate(outputs)]


def _named(tensors: Sequence[Any], names: Sequence[str] | None) -> list[TensorSpec]:
    given = list(names) if names and len(names) == len(tensors) else [t.name for t in tensors]
    return [
        TensorSpec(n, tuple(t.shape), keras.backend.standardize_dtype(t.dtype))
        for n, t in zip(given, tensors, strict=True)
    ]
