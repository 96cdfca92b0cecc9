"""Which layers lag behind their batch statistics, and what a lag predicts that they store."""

from __future__ import annotations

import math

from analyzers.case import Case, LayerCase
from analyzers.statistics import Moments, divergence

LAGGING = 0.03  # Weight of the start below which the lag is no reason for a gap worth naming.
EXPLAINED = 0.7  # Share of the divergence that the lag accounts for: lags lie above 0.9, other faults below 0.5.
EXPLAINED_WITH_CLOCK = 0.4  # Where the optimizer's own step count tells the same m^n, moving weights may blur the fit.
TOGETHER = 1.5  # Layers of one momentum are updated together: none can keep much more of its start than another may.
DECISIVE = 0.2  # With so much of the start left and both clocks agreeing, the sample's own noise floor decides nothing.
CLOCK_TOLERANCE = 0.35  # Relative difference of the two counts that still counts as agreement: weights move meanwhile.


def lags(layer: LayerCase, case: Case) -> bool:
    """Whether this layer's divergence is a lag behind its batch statistics."""
    clock = layer.clock
    if (
        clock is None
        or layer.at_start
        or clock.updates is None
        or clock.updates < 0.5
        or clock.weight_of_start < LAGGING
    ):
        return False
    if clock.weight_of_start > TOGETHER * _common_bound(layer, case):
        return False
    counted = agrees(clock.updates, case.optimizer_iterations)
    if not layer.significant and not (counted and clock.weight_of_start > DECISIVE):
        return False
    return clock.explained > (EXPLAINED_WITH_CLOCK if counted else EXPLAINED)


def _common_bound(layer: LayerCase, case: Case) -> float:
    """The least upper bound on the weight of the start among the layers that share this layer's momentum."""
    return min(x.clock.bound for x in case.normalizing if x.clock is not None and x.momentum == layer.momentum)


def agrees(updates: float, iterations: int | None) -> bool:
    return iterations is not None and iterations > 0 and abs(math.log(updates / iterations)) < CLOCK_TOLERANCE


def lagged(layer: LayerCase) -> Moments:
    """What the layer would store if its statistics lagged as its clock says; what the batch has where none is read."""
    if layer.clock is None or layer.at_start:
        return layer.batch
    w = layer.clock.weight_of_start
    return Moments(
        w * layer.start.mean + (1 - w) * layer.batch.mean, w * layer.start.variance + (1 - w) * layer.batch.variance
    )


def left_by_lag(layers: list[LayerCase]) -> float:
    """Share of the mean divergence of `layers` that a lag does not predict; 1 where nothing diverges."""
    whole = sum(x.figures.kl for x in layers)
    left = sum(divergence(lagged(x), x.stored, x.epsilon).kl for x in layers)
    return left / whole if whole > 0 else 1.0
