"""What chance alone does to a layer's divergence with this many samples, and what of a measured one is beyond it.

The unit is the sample: resampling (for layers) and variances over samples (for channels) take the correlation of the
pixels of one image as it is. Many layers and channels are looked at at once, so that the share of false discoveries
among all that are named is held, not the chance of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analyzers.statistics import Array, SampleMoments, pool

BOOTSTRAP_RESAMPLES = 200  # The 99th percentile then rests on two resamples a side; more changes floors by under 5 %.
FLOOR_QUANTILE = 0.99  # The floor that is printed: one layer in a hundred passes it by chance.
BOOTSTRAP_CHANNELS = 256  # The floor is a mean over channels: 256 of them, evenly spread, fix it to a few per cent.
FALSE_DISCOVERIES = 0.01  # Of the layers, or channels, that a report calls divergent at most this share by chance.
POWER = 0.9  # An effect counts as detectable where nine samples in ten of this size would show it.


@dataclass(frozen=True)
class Chance:
    """The law that a layer's mean divergence follows by chance, as a gamma distribution (mean and shape).

    A mean of squares of nearly normal deviations is a sum of weighted chi-squares, for which a gamma distribution with
    the same mean and variance stands in (Satterthwaite 1946). `floor`: its `FLOOR_QUANTILE`, taken from the resamples.
    """

    floor: float
    mean: float
    shape: float

    def p_value(self, kl: float) -> float:
        """The probability that chance gives at least this divergence, in nats.

        1 where the law itself is unknown, as after an input that overflows: nothing is beyond what nobody knows.
        """
        if not math.isfinite(kl):
            return 0.0
        if self.mean <= 0.0:
            return 1.0 if kl <= 0.0 else 0.0
        return float(stats.gamma.sf(kl, self.shape, scale=self.mean / self.shape)) if self._known else 1.0

    @property
    def _known(self) -> bool:
        return math.isfinite(self.mean) and math.isfinite(self.shape) and self.shape > 0.0

    @property
    def detectable(self) -> float:
        """The smallest true divergence, in nats, that passes the floor with probability `POWER`.

        What is measured is the true divergence, plus chance, plus a cross term of variance 4 k m / c for a true
        divergence k, a mean by chance m and c = 2 * shape independent channels. So k solves
        k - z sqrt(4 k m / c) = floor - (the lower quantile of chance), z the normal quantile of `POWER`.
        """
        if not self._known:
            return math.inf
        low = float(stats.gamma.ppf(1 - POWER, self.shape, scale=self.mean / self.shape)) if self.mean > 0 else 0.0
        slope = float(stats.norm.ppf(POWER)) * math.sqrt(2.0 * self.mean / self.shape) if self.mean > 0 else 0.0
        root = 0.5 * (slope + math.sqrt(slope**2 + 4.0 * max(self.floor - low, 0.0)))
        return root**2


def chance(moments: SampleMoments, epsilon: float, stored_samples: float, rng: np.random.Generator) -> Chance:
    """What chance gives a layer whose stored statistics are right, from the moments of its input over samples.

    Bootstrap over samples (Efron 1979): statistics of resamples against those of all samples. The stored statistics are
    an estimate too, from `stored_samples` effective samples, which adds the ratio of the two sizes to the variance.
    """
    n = moments.samples
    keep = np.unique(np.linspace(0, moments.mean.shape[1] - 1, BOOTSTRAP_CHANNELS).astype(int))
    counts = _resamples(n, rng) * moments.count
    weights = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    whole = pool(moments)
    offset = moments.mean[:, keep] - whole.mean[keep]
    mean = weights @ offset
    variance = np.maximum(weights @ (moments.variance[:, keep] + offset**2) - mean**2, 0.0)
    scale = whole.variance[keep] + epsilon
    ratio = (variance + epsilon) / scale
    kl = 0.5 * (ratio - 1.0 - np.log(ratio) + mean**2 / scale).mean(axis=1) * (1.0 + n / max(stored_samples, 1.0))
    center, spread = float(kl.mean()), float(kl.var())
    shape = center**2 / spread if spread > 0 else 1.0
    return Chance(float(np.quantile(kl, FLOOR_QUANTILE)), center, shape)


def _resamples(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each of n samples is in each resample, (resamples, n): a multinomial draw, by counting n uniform ones,
    which takes an eighth of the time.
    """
    drawn = rng.integers(n, size=(BOOTSTRAP_RESAMPLES, n)) + n * np.arange(BOOTSTRAP_RESAMPLES)[:, None]
    return np.bincount(drawn.ravel(), minlength=BOOTSTRAP_RESAMPLES * n).reshape(BOOTSTRAP_RESAMPLES, n)


def channel_p_values(moments: SampleMoments, kl: Array, epsilon: float, stored_samples: float) -> Array:
    """For each channel the probability that chance gives at least its divergence `kl`; (channels,).

    To second order KL = (d^2 + (r - 1)^2 / 2) / 2, with the variances of d and r over samples of this size from the
    scatter of the samples' own contributions; the gamma law is that of `Chance`.
    """
    of_mean, of_ratio = sampling_variances(moments, epsilon)
    grown = 1.0 + moments.samples / max(stored_samples, 1.0)
    of_mean, of_ratio = of_mean * grown, of_ratio * grown
    mean = 0.5 * (of_mean + 0.5 * of_ratio)
    variance = 0.5 * (of_mean**2 + 0.25 * of_ratio**2)
    with np.errstate(all="ignore"):
        p = stats.gamma.sf(kl, mean**2 / variance, scale=variance / mean)
    return np.asarray(np.where(mean > 0, np.nan_to_num(p, nan=0.0), np.where(kl > 0, 0.0, 1.0)))


def sampling_variances(moments: SampleMoments, epsilon: float) -> tuple[Array, Array]:
    """How much a channel's mean (in its own variance) and variance (relative) vary by sampling; (channels,) each.

    From the scatter of the samples' own contributions to either.
    """
    whole = pool(moments)
    share = (moments.count / moments.count.sum())[:, None]
    offset = moments.mean - whole.mean
    scale = np.maximum(whole.variance + epsilon, 1e-300)
    own = moments.variance + offset**2 - whole.variance
    return np.sum(share**2 * offset**2, axis=0) / scale, np.sum(share**2 * own**2, axis=0) / scale**2


def discoveries(p_values: Sequence[float] | Array) -> NDArray[np.bool_]:
    """Which of many are beyond chance, at most `FALSE_DISCOVERIES` of them by chance (Benjamini and Hochberg 1995)."""
    p = np.asarray(p_values, dtype=np.float64)
    if not p.size:
        return np.zeros(0, dtype=bool)
    return np.asarray(stats.false_discovery_control(np.clip(p, 0.0, 1.0)) <= FALSE_DISCOVERIES)


def effective_stored_samples(momentum: float, batch_size: int) -> float:
    """How many samples a converged moving average rests on: batch_size (1 + m) / (1 - m), the exponential window."""
    m = min(max(momentum, 0.0), 1.0 - 1e-9)
    return batch_size * (1.0 + m) / (1.0 - m)
