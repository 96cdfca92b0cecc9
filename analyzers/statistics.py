"""Moments and divergences: NumPy float64, no Keras.

The unit of observation is the *sample*, never the pixel: the values of one image are correlated, and tests that count
pixels raise false alarms on most healthy channels. So every layer's input is kept as one mean and one variance per
sample and channel, from which any subset's population moments follow exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Population mean and (biased) variance per channel; both (channels,)."""

    mean: Array
    variance: Array


@dataclass(frozen=True)
class SampleMoments:
    """What one batch-normalizing layer saw: per sample and channel, over all other axes.

    `count` (samples,): values per sample and channel; `mean`, `variance` (samples, channels), the variance biased and
    taken around the sample's own mean, so that large offsets cost no precision.
    """

    count: Array
    mean: Array
    variance: Array

    @property
    def samples(self) -> int:
        return int(self.mean.shape[0])

    def take(self, rows: NDArray[np.intp]) -> SampleMoments:
        """The same moments for the samples `rows`, (k,), repetition allowed."""
        return SampleMoments(self.count[rows], self.mean[rows], self.variance[rows])

    def by_sample(self, samples: int) -> SampleMoments:
        """The same by sample where a layer saw several rows of each, as one that folds time into the first axis does.

        As they are where the rows are no multiple of `samples`.
        """
        rows = len(self.mean)
        if rows == samples or samples == 0 or rows % samples:
            return self
        count = self.count.reshape(samples, -1)
        each, weight = count.sum(axis=1), count[:, :, None] / np.maximum(count.sum(axis=1), 1.0)[:, None, None]
        mean, variance = (x.reshape(samples, rows // samples, -1) for x in (self.mean, self.variance))
        middle = (weight * mean).sum(axis=1)
        spread = (weight * (variance + (mean - middle[:, None]) ** 2)).sum(axis=1)
        return SampleMoments(each, middle, spread)


def concatenate(parts: Sequence[SampleMoments]) -> SampleMoments:
    """Join moments of disjoint samples."""
    if len(parts) == 1:
        return parts[0]
    return SampleMoments(
        np.concatenate([p.count for p in parts]),
        np.concatenate([p.mean for p in parts]),
        np.concatenate([p.variance for p in parts]),
    )


def pool(moments: SampleMoments) -> Moments:
    """Population moments from per-sample moments: the law of total variance, with each sample's count as its weight."""
    weight = moments.count / max(float(moments.count.sum()), 1.0)
    mean = weight @ moments.mean
    variance = weight @ (moments.variance + (moments.mean - mean) ** 2)
    return Moments(mean, variance)


def average(parts: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """Moments of a mixture whose components have the given moments and weights (law of total variance)."""
    w = np.asarray(weights, dtype=np.float64) / float(np.sum(weights))
    mean = np.einsum("k,kc->c", w, np.stack([p.mean for p in parts]))
    spread = np.stack([p.variance + (p.mean - mean) ** 2 for p in parts])
    return Moments(mean, np.einsum("k,kc->c", w, spread))


def mixed(calls: Sequence[SampleMoments]) -> Moments:
    """Population moments over all calls of a layer, each call counting the same."""
    return average([pool(c) for c in calls], [1.0] * len(calls))


def kl_per_channel(batch: Moments, stored: Moments, epsilon: float) -> Array:
    """KL(batch || stored) of normal distributions, in nats, (channels,): (r - 1 - ln r + d^2) / 2.

    r is the ratio of the variances and d the shift in stored standard deviations, both with the layer's epsilon added
    to the variances, since that is the scale on which the layer divides. Impossible stored values give infinity.

    Source: Kullback and Leibler, On Information and Sufficiency (1951), for two normal distributions.
    """
    with np.errstate(all="ignore"):
        scale = stored.variance + epsilon
        ratio = (batch.variance + epsilon) / scale
        shift = (batch.mean - stored.mean) ** 2 / scale
        kl = 0.5 * (ratio - 1.0 - np.log(ratio) + shift)
    return np.where(np.isfinite(kl) & (scale > 0), np.maximum(kl, 0.0), np.inf)


@dataclass(frozen=True)
class DivergenceFigures:
    """Averages over channels; see `analyzers.report.Divergence`."""

    kl: float
    mean_shift_sd: float
    variance_ratio: float
    wasserstein2: float


def divergence(batch: Moments, stored: Moments, epsilon: float) -> DivergenceFigures:
    """How far a layer's stored statistics are from those of the batch.

    Wasserstein-2 of two normal distributions is sqrt((m1-m2)^2 + (s1-s2)^2) (Dowson and Landau 1982); here in stored
    standard deviations.
    """
    kl = kl_per_channel(batch, stored, epsilon)
    with np.errstate(all="ignore"):
        scale = stored.variance + epsilon
        shift2 = (batch.mean - stored.mean) ** 2 / scale
        ratio = (batch.variance + epsilon) / scale
        w2 = shift2 + (np.sqrt(ratio) - 1.0) ** 2
        return DivergenceFigures(
            float(np.mean(kl)),
            float(np.sqrt(np.mean(shift2))),
            float(np.exp(np.mean(np.log(ratio)))),
            float(np.sqrt(np.mean(w2))),
        )


def relative_rms(difference: Array, reference: Sequence[Array]) -> float:
    """Root mean square of `difference` over the spread of the `reference` outputs around their mean over samples.

    All arrays are (samples, values). Where the references do not vary, their root mean square stands in; where that is
    zero too, the plain root mean square is returned.
    """
    rms = float(np.sqrt(np.mean(np.square(difference)))) if difference.size else 0.0
    with np.errstate(all="ignore"):
        spread = float(np.sqrt(np.mean([np.mean(np.square(r - r.mean(axis=0))) for r in reference])))
        size = float(np.sqrt(np.mean([np.mean(np.square(r)) for r in reference])))
    for scale in (spread, size):
        if np.isfinite(scale) and scale > 1e-12 * max(size, 1e-30):
            return rms / scale
    return rms


def relative_difference(a: Array, b: Array) -> float:
    """Largest difference of `a` from `b`, in units of the largest finite number in `b`."""
    scale = float(np.nanmax(np.abs(np.where(np.isfinite(b), b, np.nan)), initial=0.0)) or 1.0
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        return float(np.max(np.where(same, 0.0, np.abs(a - b)) / scale, initial=0.0))
