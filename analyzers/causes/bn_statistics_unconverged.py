"""Too few updates for the momentum: the stored statistics still carry their start.

Rival explanations are told apart by the averaging clock: a lag moves mean and variance of every channel by the same
factor m^n towards the start, and no stored variance can lie below m^n of it. Statistics of other weights or another
domain, swapped or corrupt ones do neither.
"""

from __future__ import annotations

import math
import statistics

from analyzers.case import Case, Finding, LayerCase
from analyzers.causes._contest import confidence
from analyzers.causes._scale import scale_alone_explains
from analyzers.causes._shared import (
    divergence_evidence,
    loss_evidence,
    order_explains,
    severity_of_gap,
    share,
    worst_first,
)
from analyzers.probes.averaging_clock import CONVERGED, updates_needed
from analyzers.report import Evidence
from analyzers.wording import plural

CODE = "bn_statistics_unconverged"
TITLE = "Too few updates of the moving statistics for their momentum"
SOURCE = "Ioffe and Szegedy, Batch Normalization (2015), section 3.1: inference uses moving averages"

LAGGING = 0.03  # Weight of the start below which the lag is no reason for a gap worth naming.
EXPLAINED = (
    0.7  # Share of the divergence that the lag accounts for; lags measured lie above 0.9, other faults below 0.5.
)
EXPLAINED_WITH_CLOCK = 0.4  # Where the optimizer's own step count tells the same m^n, moving weights may blur the fit.
TOGETHER = 1.5  # Layers of one momentum are updated together: none can keep much more of its start than another may.
DECISIVE = 0.2  # With so much of the start left and both clocks agreeing, the sample's own noise floor decides nothing.
CLOCK_TOLERANCE = 0.35  # Relative difference of the two counts that still counts as agreement: weights move meanwhile.


def judge(case: Case) -> Finding | None:
    """Present where layers diverge, and a common m^n explains how."""
    lagging = [x for x in case.normalizing if lags(x, case)]
    if not lagging or case.inference_better or order_explains(case) or scale_alone_explains(case):
        return None
    updates = statistics.median(x.clock.updates for x in lagging if x.clock and x.clock.updates is not None)
    agrees = _agrees(updates, case.optimizer_iterations)
    most = 0.98 if agrees else 0.95 if not case.optimizer_iterations else 0.8
    return Finding(
        confidence(case, CODE, most=most),
        severity_of_gap(case),
        _explanation(case, lagging, updates),
        worst_first(lagging),
        _evidence(case, lagging, updates),
        share(lagging, case),
    )


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
    agrees = _agrees(clock.updates, case.optimizer_iterations)
    if not layer.significant and not (agrees and clock.weight_of_start > DECISIVE):
        return False
    return clock.explained > (EXPLAINED_WITH_CLOCK if agrees else EXPLAINED)


def _common_bound(layer: LayerCase, case: Case) -> float:
    """The least upper bound on the weight of the start among the layers that share this layer's momentum."""
    return min(x.clock.bound for x in case.normalizing if x.clock is not None and x.momentum == layer.momentum)


def _agrees(updates: float, iterations: int | None) -> bool:
    return iterations is not None and iterations > 0 and abs(math.log(updates / iterations)) < CLOCK_TOLERANCE


def _explanation(case: Case, lagging: list[LayerCase], updates: float) -> str:
    worst = max(lagging, key=lambda x: x.clock.weight_of_start if x.clock else 0.0)
    assert worst.clock is not None
    left = 100 * worst.clock.weight_of_start
    missing = max(0, updates_needed(worst.momentum) - round(updates))
    counted = ""
    if case.optimizer_iterations:
        counted = f" The optimizer in the file counts {plural(case.optimizer_iterations, 'step')}."
    return (
        f"The moving statistics of {plural(len(lagging), 'layer')} have had about {updates:.3g} updates at momentum "
        f"{worst.momentum:g}, so they still carry {left:.0f} % of their start (mean 0, variance 1). The training "
        "phase normalizes with batch statistics and never notices; the inference phase normalizes with the stored "
        f"ones.{counted} It takes {updates_needed(worst.momentum)} updates in all until 1 % of the start is left: "
        f"{missing} are missing. A momentum of {converging_momentum(updates):.2g} would have converged in the updates "
        "that there were."
    )


def converging_momentum(updates: float) -> float:
    """The momentum at which 1 % of the start is left after so many updates."""
    return float(CONVERGED ** (1.0 / max(updates, 1.0)))


def _evidence(case: Case, lagging: list[LayerCase], updates: float) -> list[Evidence]:
    needed = min(updates_needed(x.momentum) for x in lagging)
    rows = [Evidence(name="effective_updates", value=updates, unit="updates", reference=needed)]
    if case.optimizer_iterations:
        rows.append(
            Evidence(name="optimizer_iterations", value=case.optimizer_iterations, unit="updates", reference=updates)
        )
    explained = statistics.median(x.clock.explained for x in lagging if x.clock)
    rows.append(Evidence(name="divergence_explained_by_lag", value=explained, reference=EXPLAINED))
    return rows + divergence_evidence(lagging) + loss_evidence(case)
