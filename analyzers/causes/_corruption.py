"""Which channels hold statistics that no average of batches can have."""

from __future__ import annotations

import math

import numpy as np

from analyzers.case import Case, LayerCase
from analyzers.causes._lag import lagged
from analyzers.causes._scale import scale_explains
from analyzers.statistics import kl_per_channel

ABSURD_KL = 50.0  # Nats in one channel while the layer's median channel is below `SOUND_KL`: one outlier.
SOUND_KL = 0.1  # What a channel of a sound layer stays below.
EXPLAINED = 0.7  # Share of the divergence from which on the lag says what a sound channel of the layer would store.
ALIVE = 10.0  # Times epsilon: a channel that varies this much was not dead in training, and 0 is no average of it.
ABSURD_RATIO = 1e4  # A hundred standard deviations to one: beyond any drift of weights in the same layer.

# Standard deviations, of what is stored or of what comes, whichever is larger: an input in other units carries its
# stored spread along, so that raw pixels against scaled ones stay below 10.
ABSURD_SHIFT = 1e3
BLOWN_UP = 1e-3  # Variance of the batch over that stored: thirty standard deviations to one ...
NEAR_MEAN = 0.2  # ... with the mean within so many of the stored ones.
ONE_FACTOR_LEAVES = 0.1  # Nats: inputs in other units leave 0.02 and less, outliers 0.16 and more.


def impossible_channels(layer: LayerCase) -> list[int]:
    """Channels whose stored values are not finite, whose variance is negative, or exactly 0 where the data vary."""
    mean, variance = layer.stored.mean, layer.stored.variance
    with np.errstate(invalid="ignore"):
        frozen = (variance == 0) & (layer.batch.variance > ALIVE * layer.epsilon) & layer.uses_batch
        bad = ~np.isfinite(mean) | ~np.isfinite(variance) | (variance < 0) | frozen
    return [int(i) for i in np.flatnonzero(bad)]


def corrupt_channels(layer: LayerCase, case: Case) -> list[int]:
    """Impossible channels, and those absurdly far from what the rest of their layer, or of the model, would expect."""
    impossible = impossible_channels(layer)
    rest = np.setdiff1d(np.arange(layer.channels), impossible)
    if not layer.uses_batch or not len(rest) or layer.at_start:
        return impossible
    expected = lagged(layer) if layer.clock is not None and layer.clock.explained > EXPLAINED else layer.batch
    with np.errstate(all="ignore"):
        ratio = np.log((layer.stored.variance + layer.epsilon) / (expected.variance + layer.epsilon))
        usual = float(np.median(ratio[rest]))
        far = np.abs(ratio - usual) > math.log(ABSURD_RATIO)
        kl = kl_per_channel(expected, layer.stored, layer.epsilon)
    if float(np.median(kl[rest])) <= SOUND_KL or _absurd_layer(layer, case):
        far |= (np.abs(ratio) > math.log(ABSURD_RATIO)) | (kl > ABSURD_KL)
    return sorted({*impossible, *(int(i) for i in rest if far[i])})


def absurd(layer: LayerCase) -> bool:
    """Whether a stored variance is so far above all that the layer gets that no feature, however rare, leaves it."""
    largest = float(np.max(layer.batch.variance, initial=0.0)) + layer.epsilon
    return bool(np.nanmax(layer.stored.variance, initial=0.0) > ABSURD_RATIO * largest)


def _absurd_layer(layer: LayerCase, case: Case) -> bool:
    """One outlier of a sample blows up the statistics of a whole layer and leaves all other layers sound."""
    if _blown_up(layer, case):
        return True
    others = [x.figures.kl for x in case.normalizing if x.path != layer.path]
    if scale_explains(case) or (others and float(np.median(others)) > SOUND_KL):
        return False
    ratio = layer.figures.variance_ratio
    return ratio < 1 / ABSURD_RATIO or not np.isfinite(ratio) or _out_of_sight(layer)


def _blown_up(layer: LayerCase, case: Case) -> bool:
    """Whether variances are far too large all through a layer, means alone are not, and no one factor says why.

    An outlier adds to each channel what its kernel makes of it, an input in other units the same part to all.
    """
    trial = case.input_scale
    if trial is None or trial.kl_after < ONE_FACTOR_LEAVES or scale_explains(case):
        return False
    varies = float(np.median(layer.batch.variance)) > layer.epsilon
    return varies and layer.figures.variance_ratio < BLOWN_UP and layer.figures.mean_shift_sd < NEAR_MEAN


def _out_of_sight(layer: LayerCase) -> bool:
    """Whether most means lie where neither what is stored nor what the layer gets can see the other."""
    spread = np.sqrt(np.maximum(np.maximum(layer.stored.variance, layer.batch.variance), 0.0) + layer.epsilon)
    return float(np.median(np.abs(layer.stored.mean - layer.batch.mean) / spread)) > ABSURD_SHIFT
