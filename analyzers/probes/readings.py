"""How an output is to be read: as probabilities or as logits, and which decision each row of it makes.

Told, in this order, from the logits that Keras keeps behind an activation, from the last layer's own activation, from
the loss that the output is compiled with, and from the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from analyzers.outputs import Outputs
from analyzers.subjects.heads import last_activation

Kind = Literal["softmax", "sigmoid", "logits", "scores"]
Classes = NDArray[np.intp]
Values = NDArray[np.float64]

SLACK = 1e-5  # float32 rounding of a sum of probabilities.
STEEPEST = 50.0  # Logits beyond this are certainties, and overflow the exponential.
NORMALIZED = 1e-3  # Rows that sum to one within this are a softmax, or an average of such.


@dataclass(frozen=True)
class LossKind:
    """What a loss takes its predictions to be."""

    family: Literal["crossentropy", "hinge", "distance", "none"] = "none"
    from_logits: bool = False
    categorical: bool = False


@dataclass(frozen=True)
class Reading:
    """`softmax` and `sigmoid` are probabilities, `scores` numbers on the labels' own scale (a squared-error fit of
    labels 0 and 1, say). `threshold` decides where there is one unit.
    """

    kind: Kind
    threshold: float
    loss: LossKind

    @property
    def probabilities(self) -> bool:
        return self.kind in ("softmax", "sigmoid")


def readings(model: Any, losses: Sequence[Any], inference: Outputs) -> list[Reading]:
    """One for each output of `model`; `losses` are those compiled, in the outputs' order, or empty."""
    found = []
    for i, output in enumerate(inference):
        loss = losses[i] if i < len(losses) else None
        found.append(reading(output, inference.logits[i], loss, last_activation(model, i)))
    return found


def reading(output: Values, logits: Values | None = None, loss: Any = None, activation: str | None = None) -> Reading:
    """How to read one output, (samples, ..., units)."""
    known = loss_kind(loss)
    kind = _kind(np.where(np.isfinite(output), output, 0.5), logits, known, activation)
    threshold = 0.5 if kind != "logits" and known.family != "hinge" else 0.0
    return Reading(kind, threshold, known)


def _kind(output: Values, logits: Values | None, loss: LossKind, activation: str | None) -> Kind:
    if logits is not None or activation in ("softmax", "sigmoid"):
        return "softmax" if _normalized(output) and activation != "sigmoid" else "sigmoid"
    if loss.family == "distance":
        return "scores"
    within = bool(output.min(initial=0.0) >= -SLACK and output.max(initial=0.0) <= 1 + SLACK)
    if not within or (activation == "linear" and loss.from_logits):
        return "scores" if loss.family == "hinge" else "logits"
    return "softmax" if _normalized(output) else "sigmoid"


def _normalized(output: Values) -> bool:
    return output.shape[-1] > 1 and bool(np.all(np.abs(output.sum(axis=-1) - 1) < NORMALIZED))


def loss_kind(loss: Any) -> LossKind:
    """What is known of a loss: an identifier, a function or an object."""
    if loss is None:
        return LossKind()
    try:
        function = keras.losses.get(loss)
    except ValueError:
        function = loss
    name = str(getattr(function, "__name__", None) or type(function).__name__)
    name = name.replace("_", "").lower()
    from_logits = bool(getattr(function, "from_logits", False))
    categorical = "categorical" in name
    if "crossentropy" in name or "focal" in name:
        return LossKind("crossentropy", from_logits, categorical)
    return LossKind("hinge" if "hinge" in name else "distance", False, categorical)


def decisions(output: Values, read: Reading) -> tuple[Classes, Values]:
    """The class of each row, and the probability that it was given; (samples, positions) each.

    `output` is (samples, ..., units).
    """
    flat = np.nan_to_num(output, nan=0.0, posinf=1e6, neginf=-1e6).reshape(len(output), -1, output.shape[-1])
    if flat.shape[-1] == 1:
        score = flat[..., 0]
        likely = _sigmoid(score) if read.kind == "logits" or read.threshold == 0.0 else np.clip(score, 0.0, 1.0)
        return (score > read.threshold).astype(np.intp), np.maximum(likely, 1 - likely)
    likely = _softmax(flat) if read.kind == "logits" else np.clip(flat, 0.0, 1.0)
    return flat.argmax(axis=-1), likely.max(axis=-1)


def as_probabilities(output: Values, categorical: bool) -> Values:
    """Logits (..., units) through a softmax, or, where units decide each for itself, through a sigmoid."""
    return _softmax(output) if categorical and output.shape[-1] > 1 else _sigmoid(output)


def _sigmoid(values: Values) -> Values:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -STEEPEST, STEEPEST))))


def _softmax(values: Values) -> Values:
    odds = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))


def true_classes(labels: NDArray[Any], output: Values) -> Classes | None:
    """Labels as class numbers (samples, positions), or None where they are none: regression, several labels a row."""
    units = output.shape[-1] if output.ndim > 1 else 0
    if not units or labels.dtype.kind not in "fiub":
        return None
    if units > 1 and labels.shape == output.shape:
        flat = labels.reshape(len(labels), -1, units)
        return flat.argmax(axis=-1) if one_hot(labels) else None
    positions = output.size // max(len(output), 1) // units
    if labels.size != len(output) * positions or not np.array_equal(labels, np.round(labels)):
        return None
    classes = labels.reshape(len(output), positions).astype(np.intp)
    if units == 1 and set(np.unique(classes).tolist()) == {-1, 1}:
        return (classes + 1) // 2
    return classes if classes.size and classes.min() >= 0 and classes.max() < max(units, 2) else None


def one_hot(labels: NDArray[Any]) -> bool:
    """Whether exactly one entry of the last axis is 1 in each row, and all others are 0."""
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(axis=-1) == 1).all())
