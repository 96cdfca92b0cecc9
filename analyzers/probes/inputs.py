"""How else a sample can be prepared wrongly: colour channels in another order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyzers.batches.lazy import Change, Samples, changed
from analyzers.case import ChannelTrial, LayerCase
from analyzers.evaluation import Evaluator
from analyzers.observation import Observer, Pass
from analyzers.phase import paired
from analyzers.probes import labels
from analyzers.probes.responses import capped_divergence
from analyzers.switchboard import Setting

COLOURS = 3  # Red, green and blue.
WITH_OPACITY = 4  # And how opaque, which comes last in either order.


def reversed_channels(
    observer: Observer, evaluator: Evaluator, inference: Pass, layers: Sequence[LayerCase]
) -> ChannelTrial | None:
    """Inference as sent against that with the colour channels of all images reversed; None without any.

    `layers`: the batch-normalizing ones that the training phase reached.
    """
    batch = observer.batch
    if all(_colour_axis(x) is None for x in batch.x):
        return None
    with observer.feeding(colours_reversed(batch.x)):
        other = observer.run(Setting(record=True))
    loss = paired(evaluator.per_sample(inference.outputs), evaluator.per_sample(other.outputs))
    before, after = (labels.decided(observer, evaluator, p.outputs) for p in (inference, other))
    gained = [paired(1.0 - a.right, 1.0 - b.right) for a, b in zip(before, after, strict=True)]
    return ChannelTrial(
        loss=loss,
        accuracy=min((float(d.right.mean()) for d in after), default=None),
        accuracy_z=min((g.z for g in gained if g is not None), default=0.0),
        confidence=min((d.confidence for d in after), default=None),
        kl_before=capped_divergence(layers, inference),
        kl_after=capped_divergence(layers, other),
    )


def colours_reversed(x: Sequence[Samples]) -> list[Samples]:
    """Inputs with the colour channels of all images reversed; other inputs as they are."""
    axes = [_colour_axis(a) for a in x]
    return [a if axis is None else changed(a, _reversing(a, axis)) for a, axis in zip(x, axes, strict=True)]


def _reversing(x: Samples, axis: int) -> Change:
    order = [2, 1, 0, *range(COLOURS, x.shape[axis])]
    return lambda rows: np.take(rows, order, axis)


def _colour_axis(x: Samples) -> int | None:
    if x.ndim != 4 or x.dtype.kind not in "fiu":
        return None
    return 3 if x.shape[3] in (COLOURS, WITH_OPACITY) else 1 if x.shape[1] in (COLOURS, WITH_OPACITY) else None
