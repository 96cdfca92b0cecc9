"""Rival explanations of the same numbers, each held to what it predicts.

Every explanation says what the stored statistics ought to be, given what the layers see: a lag, a mixture of the start
and the batch at one weight; a conversion, a function of the batch; statistics never updated, the start; a wrongly
scaled input, agreement once the input is corrected (which is tried); corruption, agreement in all other channels. What
an explanation predicts wrongly it leaves unexplained, and its confidence follows from how much less that is than what
the best rival leaves. Statistics of other weights or of another domain predict nothing: they are believed as far as
everything else fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from analyzers.case import Case, LayerCase, Rival
from analyzers.causes._conversion import best_conversion, converted_otherwise
from analyzers.causes._corruption import corrupt_channels
from analyzers.causes._lag import lagged
from analyzers.statistics import Array, Moments, kl_per_channel

Channels = Mapping[str, NDArray[np.intp]]

MOST_NATS = 10.0  # A channel that is off by more says no more: one broken channel must not drown all others.
BLUR = 0.02  # Share left unexplained by sampling noise and moving weights: less than this is no better.
TOGETHER = frozenset({"bn_statistics_unconverged", "input_scaling_mismatch"})  # No rivals where both were found.
SMALL = 4  # Samples: up to here batches have other statistics than the samples because they are small ...
BATCHES = ("bn_small_batch", "bn_batch_composition")  # ... and beyond, because of what they are composed of.
NOTHING = 1e-9  # Nats in all: there is nothing to explain.


def contest(case: Case) -> list[Rival]:
    """The explanations that can be held to the numbers, best first; empty where no layer diverges."""
    layers = case.normalizing
    whole = sum(float(np.sum(_off(x, x.batch))) for x in layers)
    if not layers or whole < NOTHING:
        return []
    sound = {x.path: np.setdiff1d(np.arange(x.channels), corrupt_channels(x, case)) for x in layers}
    rest = _left(layers, sound, lambda x: x.batch)
    shares = {
        "bn_corrupt_statistics": rest / whole,
        "bn_statistics_unconverged": _left(layers, sound, lagged) / max(rest, NOTHING),
        "bn_statistics_never_updated": _left(layers, sound, lambda x: x.start if x.at_start else x.batch)
        / max(rest, NOTHING),
        BATCHES[case.batch_size > SMALL]: _left(layers, sound, lambda x: x.averaged) / max(rest, NOTHING),
    }
    shares = {code: min(max(value, 0.0), 1.0) for code, value in shares.items()}
    shares["bn_conversion_mismatch"] = _after_conversion(case)
    shares["input_scaling_mismatch"] = _after_scaling(case)
    rivals = [Rival(code, 1.0 - share) for code, share in shares.items()]
    return sorted(rivals, key=lambda r: (-r.explained, r.code))


def confidence(case: Case, code: str, *, most: float) -> float:
    """How sure to be of an explanation, `most` at most.

    The odds are what the best rival leaves unexplained over what this one leaves. A code that is not in the contest
    predicts nothing and leaves what the best of those in it explains.
    """
    rivals = {r.code: 1.0 - r.explained for r in contest(case)}
    beside = TOGETHER if case.input_scale is not None and case.input_scale.lagging else frozenset({code})
    others = [left for c, left in rivals.items() if c != code and not {c, code} <= beside]
    best = min(others, default=1.0)
    own = rivals.get(code, 1.0 - best)
    odds = (best + BLUR) / (own + BLUR)
    return round(min(most, odds / (1.0 + odds)), 3)


def _off(layer: LayerCase, predicted: Moments) -> Array:
    """Divergence, in nats a channel, of the stored statistics from those that an explanation predicts."""
    return np.minimum(kl_per_channel(predicted, layer.stored, layer.epsilon), MOST_NATS)


def _left(layers: list[LayerCase], sound: Channels, predict: Callable[[LayerCase], Moments]) -> float:
    """Nats that an explanation leaves in the channels that hold possible values: corruption has no rival there."""
    return sum(float(np.sum(_off(x, predict(x))[sound[x.path]])) for x in layers)


def _after_conversion(case: Case) -> float:
    found = best_conversion(case) or converted_otherwise(case)
    return 1.0 if found is None else min(found.kl_after / max(found.kl_before, NOTHING), 1.0)


def _after_scaling(case: Case) -> float:
    """The worst of what the tried correction leaves: in the first layers, behind them, and in the outputs."""
    trial = case.input_scale
    if trial is None or any(x.at_start for x in case.normalizing if x.path in trial.paths):
        return 1.0
    parts = [
        trial.kl_after / max(trial.kl_before, NOTHING),
        trial.deep_kl_after / max(trial.deep_kl_before, NOTHING) if trial.deep_kl_before > 0.01 else 0.0,
        max(trial.distance_after - case.gap.batch_noise, 0.0) / max(trial.distance_before, NOTHING),
    ]
    return min(max(parts), 1.0)
