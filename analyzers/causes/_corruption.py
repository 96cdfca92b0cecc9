"""Which channels hold statistics that no average of batches can have."""

from __future__ import annotations

import numpy as np

from analyzers.case import Case, LayerCase
from analyzers.causes._scale import scale_explains

ABSURD_KL = (
    50.0  # Nats in one channel while the layer's median channel is below `SOUND_KL`: one outlier, not a cause for all.
)
SOUND_KL = 0.1  # What a channel of a sound layer stays below.
ABSURD_RATIO = 1e4  # A hundred standard deviations to one: beyond any drift of weights in the same layer.


def impossible_channels(layer: LayerCase) -> list[int]:
    """Channels whose stored values are not finite, or whose variance is negative."""
    mean, variance = layer.stored.mean, layer.stored.variance
    with np.errstate(invalid="ignore"):
        return [int(i) for i in np.flatnonzero(~np.isfinite(mean) | ~np.isfinite(variance) | (variance < 0))]


def corrupt_channels(layer: LayerCase, case: Case) -> list[int]:
    """Impossible channels, and those absurdly far from the data where their layer or model is otherwise sound."""
    impossible = impossible_channels(layer)
    rest = np.setdiff1d(np.arange(layer.channels), impossible)
    if not layer.uses_batch or not len(rest) or layer.at_start:
        return impossible
    if float(np.median(layer.kl[rest])) > SOUND_KL and not _absurd_layer(layer, case):
        return impossible
    with np.errstate(all="ignore"):
        ratio = (layer.stored.variance + layer.epsilon) / (layer.batch.variance + layer.epsilon)
        far = (ratio > ABSURD_RATIO) | (ratio < 1 / ABSURD_RATIO) | (layer.kl > ABSURD_KL)
    return sorted({*impossible, *(int(i) for i in rest if far[i])})


def _absurd_layer(layer: LayerCase, case: Case) -> bool:
    """One outlier of a sample blows up the variances of a whole layer and leaves all other layers sound."""
    others = [x.figures.kl for x in case.normalizing if x.path != layer.path]
    if scale_explains(case) or (others and float(np.median(others)) > SOUND_KL):
        return False
    return layer.figures.variance_ratio < 1 / ABSURD_RATIO or not np.isfinite(layer.figures.variance_ratio)
