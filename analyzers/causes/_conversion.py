"""What a converter can do to stored statistics, tried on the numbers: swap them, or store another power of the
variance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analyzers.case import Case, ConvertedTrial, LayerCase
from analyzers.causes._scale import scale_explains
from analyzers.statistics import Array, Moments, kl_per_channel

COLLAPSE = 0.15  # Of the divergence at most this much may remain after undoing the conversion.
MOST_NATS = 10.0  # In one channel: beyond any drift.
FROZEN = 0.9999  # Statistics that cannot move belong to another domain as likely as to another framework.
NOTABLE = 0.1  # Nats in the worst layer: less divergence than this is not worth a theory.
CLOSE = 0.15  # Nats that may remain in the worst layer: the statistics are right but for sampling noise and drift.


def _swapped(x: LayerCase) -> Moments:
    # A converter that also took absolute values lost the sign of the mean; the batch gives it back.
    return Moments(np.copysign(np.abs(x.stored.variance), x.batch.mean), np.abs(x.stored.mean))


def _power(x: LayerCase) -> Array:
    # No power of a variance is negative: such a value is corrupt, and no conversion undoes it.
    return np.where(x.stored.variance >= 0.0, x.stored.variance, np.nan)


UNDO: dict[str, Callable[[LayerCase], Moments]] = {
    "mean and variance are swapped": _swapped,
    "the standard deviation is stored as the variance": lambda x: Moments(x.stored.mean, _power(x) ** 2),
    "the inverse standard deviation is stored as the variance": lambda x: Moments(
        x.stored.mean, 1.0 / np.maximum(_power(x), 1e-6) ** 2
    ),
    "the square of the variance is stored": lambda x: Moments(x.stored.mean, np.sqrt(_power(x))),
    "the mean has the wrong sign": lambda x: Moments(-x.stored.mean, x.stored.variance),
}


@dataclass(frozen=True)
class Conversion:
    """The conversion that explains most: mean divergence over layers as stored and as undone, and the undone
    statistics.
    """

    what: str
    kl_before: float
    kl_after: float
    undone: dict[str, Moments]


def converted_otherwise(case: Case) -> ConvertedTrial | None:
    """Gamma and beta swapped, or another framework's epsilon, where undoing it on the model makes all layers agree."""
    trial = case.converted
    if trial is None or trial.kl_before < NOTABLE / 2 or scale_explains(case):
        return None
    return trial if trial.kl_after < COLLAPSE * trial.kl_before else None


def best_conversion(case: Case) -> Conversion | None:
    """The one conversion that, undone, makes stored and batch statistics agree in all layers; None where none does."""
    layers = [x for x in case.normalizing if not x.at_start]
    before = [_kl(x, x.stored) for x in layers]
    worst = max(before, default=0.0)
    if worst < NOTABLE or any(x.per_step or x.momentum >= FROZEN for x in layers):
        return None
    tried = {what: [undo(x) for x in layers] for what, undo in UNDO.items()}
    left = {what: [_kl(x, m) for x, m in zip(layers, undone, strict=True)] for what, undone in tried.items()}
    what = min(left, key=lambda w: float(np.mean(left[w])))
    collapsed = float(np.mean(left[what])) <= COLLAPSE * float(np.mean(before))
    everywhere = all(a <= max(CLOSE, COLLAPSE * b) for a, b in zip(left[what], before, strict=True))
    if not collapsed or not everywhere or _scale_is_better(case, float(np.mean(left[what])) / float(np.mean(before))):
        return None
    undone = {x.path: m for x, m in zip(layers, tried[what], strict=True)}
    return Conversion(what, float(np.mean(before)), float(np.mean(left[what])), undone)


def _scale_is_better(case: Case, left: float) -> bool:
    """Whether a wrong scale of the input leaves less than twice what the conversion does, which has no free number."""
    trial = case.input_scale
    return scale_explains(case) and trial is not None and trial.kl_after < 2.0 * left * trial.kl_before


def _kl(layer: LayerCase, stored: Moments) -> float:
    """Mean over channels; one that is off by more than `MOST_NATS` says no more, or one alone would be the mean."""
    return float(np.mean(np.minimum(kl_per_channel(layer.batch, stored, layer.epsilon), MOST_NATS)))
