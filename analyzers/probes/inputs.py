"""How else a sample can be prepared wrongly: colour channels in another order."""

from __future__ import annotations

from typing import Any

import numpy as np

from analyzers.case import ChannelTrial
from analyzers.evaluation import Evaluator
from analyzers.observation import Observer, Pass
from analyzers.phase import paired
from analyzers.probes import labels
from analyzers.switchboard import Setting

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
    decisions = labels.facts(observer, evaluator, other.outputs, other.outputs)
    return None if loss is None else ChannelTrial(loss, min((d.accuracy for d in decisions), default=None))


def _colour_axis(x: Any) -> int | None:
    if x.ndim != 4:
        return None
    return 3 if x.shape[3] == COLOURS else 1 if x.shape[1] == COLOURS else None
