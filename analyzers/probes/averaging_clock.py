"""How often a layer's moving statistics were updated, read from the statistics alone.

After n updates at momentum m on a stationary input, stored = w * start + (1 - w) * true with w = m^n, the same w for
the mean and the variance of every channel. So w is the slope of (stored - batch) on (start - batch); and since
variances are positive, no stored variance can be below w * start: the smallest one bounds w from above, whatever the
weights did meanwhile.

Source: the update rule of Ioffe and Szegedy, Batch Normalization (2015), section 3.1, solved for n.
"""

from __future__ import annotations

import math

import numpy as np

from analyzers.case import ClockReading
from analyzers.statistics import Array, Moments

CONVERGED = 0.01  # The start has lost its influence when 1 % of it is left: 459 updates at momentum 0.99.
LEVERAGE_CAP = 3.0  # A channel far from the start tells w well; beyond three standard deviations it tells no more.
SMALL_LEVERAGE = 0.1  # Channels whose true statistics lie this near the start tell nothing about w.


def read(stored: Moments, batch: Moments, start: Moments, momentum: float, epsilon: float) -> ClockReading | None:
    """Read the clock of one layer; arrays are (channels,).

    None where the momentum keeps no clock (0 or 1, or outside) or where nothing finite is stored.
    """
    if not 0.0 < momentum < 1.0:
        return None
    usable = np.isfinite(stored.mean) & np.isfinite(stored.variance) & (stored.variance >= 0)
    if not usable.any():
        return None
    slopes, leverage, distance = _equations(stored, batch, start, epsilon, usable)
    bound = float(np.min(stored.variance[usable] / np.maximum(start.variance[usable], 1e-12)))
    bound = min(max(bound, 0.0), 1.0)
    weight = min(_weighted_median(slopes, leverage), bound) if len(slopes) else bound
    weight = min(max(weight, 0.0), 1.0)
    explained = _explained(slopes, distance, weight)
    updates = math.log(weight) / math.log(momentum) if weight > 0 else None
    missing = (
        max(0, math.ceil(math.log(CONVERGED) / math.log(momentum) - (updates or 0.0))) if updates is not None else 0
    )
    return ClockReading(weight, bound, explained, updates, missing)


def caught_up(stored: Moments, start: Moments, weight: float) -> Moments:
    """What would be stored without the start: (stored - w * start) / (1 - w), as in Adam's bias correction.

    Variances that the difference leaves below zero are set to zero. Source: Kingma and Ba, Adam (2015), section 3.
    """
    rest = 1.0 - weight
    return Moments(
        (stored.mean - weight * start.mean) / rest,
        np.maximum((stored.variance - weight * start.variance) / rest, 0.0),
    )


def updates_needed(momentum: float) -> int:
    """Updates until 1 % of the start is left, at this momentum (0 < momentum < 1)."""
    return math.ceil(math.log(CONVERGED) / math.log(momentum))


def _equations(
    stored: Moments, batch: Moments, start: Moments, epsilon: float, usable: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> tuple[Array, Array, Array]:
    """Per channel and moment: the slope that explains it alone, its leverage, and start minus batch in sd."""
    scale = np.sqrt(np.maximum(batch.variance, 0.0) + epsilon)
    moved = [(stored.mean - batch.mean) / scale, (stored.variance - batch.variance) / (math.sqrt(2) * scale**2)]
    away = [(start.mean - batch.mean) / scale, (start.variance - batch.variance) / (math.sqrt(2) * scale**2)]
    y = np.concatenate([m[usable] for m in moved])
    x = np.concatenate([a[usable] for a in away])
    telling = np.abs(x) > SMALL_LEVERAGE
    return y[telling] / x[telling], np.minimum(np.abs(x[telling]), LEVERAGE_CAP), x[telling]


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])


def _explained(slopes: Array, distance: Array, weight: float) -> float:
    """Share of sum |stored - batch| that w * (start - batch) accounts for, each term capped; 0 to 1."""
    if not len(slopes):
        return 0.0
    size = np.minimum(np.abs(distance), LEVERAGE_CAP)
    whole = float(np.sum(np.abs(slopes) * size))
    left = float(np.sum(np.abs(slopes - weight) * size))
    return max(0.0, 1.0 - left / whole) if whole > 0 else 0.0
