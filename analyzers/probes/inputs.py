"""How else a sample can be prepared wrongly: channels in another order, a `Normalization` never adapted."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from analyzers.case import ChannelTrial
from analyzers.evaluation import Evaluator
from analyzers.observation import Observer, Pass
from analyzers.phase import paired
from analyzers.probes import labels
from analyzers.switchboard import Setting
from analyzers.symptoms import NormalizationFacts

COLOURS = 3  # Red, green and blue.


def reversed_channels(observer: Observer, evaluator: Evaluator, inference: Pass) -> ChannelTrial | None:
    """Loss of inference as sent against that with the colour channels of all images reversed; None without any."""
    axes = [_colour_axis(x) for x in observer.batch.x]
    if not evaluator.has_loss or all(a is None for a in axes):
        return None
    batch = observer.batch
    with observer.feeding([a if axis is None else np.flip(a, axis) for a, axis in zip(batch.x, axes, strict=True)]):
        other = observer.run(Setting())
    loss = paired(evaluator.per_sample(inference.outputs), evaluator.per_sample(other.outputs))
    names, y = batch.output_names, batch.y
    decisions = labels.facts(names, y, other.outputs, other.outputs, observer.seed) if y else []
    return None if loss is None else ChannelTrial(loss, min((d.accuracy for d in decisions), default=None))


def _colour_axis(x: Any) -> int | None:
    if x.ndim != 4:
        return None
    return 3 if x.shape[3] == COLOURS else 1 if x.shape[1] == COLOURS else None


def unadapted(observer: Observer) -> list[NormalizationFacts]:
    """`Normalization` layers that are the identity, with what the sample holds for them."""
    found = []
    for path, layer in observer.subject.layers:
        if isinstance(layer, keras.layers.Normalization) and _identity(layer):
            fed = [x for x in observer.batch.x if _feeds(x, layer)]
            if fed:
                axes = tuple(range(fed[0].ndim - 1)) if layer.axis not in (None, ()) else None
                mean, sd = np.mean(fed[0], axis=axes), np.std(fed[0], axis=axes)
                found.append(NormalizationFacts(path, float(np.abs(mean).max()), float(np.max(sd))))
    return found


def _identity(layer: Any) -> bool:
    mean, variance = getattr(layer, "mean", None), getattr(layer, "variance", None)
    if mean is None or variance is None:
        return False
    return bool(np.all(np.array(mean) == 0) and np.all(np.abs(np.array(variance) - 1) < 1e-6))


def _feeds(x: Any, layer: Any) -> bool:
    size = int(np.size(np.array(layer.mean)))
    return x.dtype.kind in "fiu" and (size == 1 or x.shape[-1] == size)
