"""What to judge labels by where a model was saved without the loss that it was trained with.

A custom training loop compiles nothing, and is where batch normalization goes wrong most. Labels were sent to say which
phase is right; the activation at the end and the labels' shape leave one loss that fits both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from analyzers.evaluation import Compiled
from analyzers.subjects.heads import last_activation


def inferred(
    model: Any, compiled: Compiled, names: Sequence[str], labels: Sequence[NDArray[Any]] | None
) -> tuple[Compiled, str | None]:
    """`compiled` with a loss for every output, and what to say of it; as it was where it has one or none fits."""
    shapes = [tuple(t.shape) for t in getattr(model, "outputs", None) or []]
    if labels is None or compiled.loss is not None or len(shapes) != len(labels):
        return compiled, None
    losses = [_fitting(last_activation(model, i), s, y) for i, (s, y) in enumerate(zip(shapes, labels, strict=True))]
    if any(loss is None for loss in losses):
        return compiled, None
    said = ", ".join(f"`{n}` by {_said(loss)}" for n, loss in zip(names, losses, strict=True))
    metrics = compiled.metrics
    if compiled.empty and len(losses) == 1 and not isinstance(losses[0], keras.losses.MeanSquaredError):
        metrics = [_accuracy(losses[0])]
    note = (
        f"no loss was compiled or named; judged {said}, which fits the output and the labels (name `loss` for another)"
    )
    return replace(compiled, loss=losses[0] if len(losses) == 1 else losses, metrics=metrics), note


def _fitting(activation: str | None, shape: tuple[int | None, ...], labels: NDArray[Any]) -> Any:
    """The loss for one output, (batch, ..., units), or None where several would fit, or none."""
    if labels.dtype.kind not in "iufb":
        return None
    values = labels.astype(np.float64)
    whole, units = bool(np.all(values == np.round(values))), shape[-1]
    same = labels.ndim == len(shape)
    if activation == "sigmoid" or (activation == "linear" and units == 1):
        if whole and values.min() >= 0 and values.max() <= 1:
            return keras.losses.BinaryCrossentropy(from_logits=activation == "linear")
        return keras.losses.MeanSquaredError() if activation == "linear" else None
    if activation in ("softmax", "linear") and units and units > 1:
        logits = activation == "linear"
        if same and labels.shape[-1] == units and _one_hot(values):
            return keras.losses.CategoricalCrossentropy(from_logits=logits)
        if whole and (not same or labels.shape[-1] == 1) and values.min() >= 0 and values.max() < units:
            return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
        if logits and same and labels.shape[-1] == units:
            return keras.losses.MeanSquaredError()
    return None


def _one_hot(values: NDArray[np.float64]) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all() and np.all(values.sum(axis=-1) == 1.0))


def _accuracy(loss: Any) -> Any:
    if isinstance(loss, keras.losses.BinaryCrossentropy):
        return keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0 if loss.from_logits else 0.5)
    return "accuracy"


def _said(loss: Any) -> str:
    logits = " from logits" if getattr(loss, "from_logits", False) else ""
    return f"{loss.name.replace('_', ' ')}{logits}"
