"""Too few updates for the momentum: the stored statistics still carry their start.

Rival explanations are told apart by the averaging clock: a lag moves mean and variance of every channel by the same
factor m^n towards the start, and no stored variance can lie below m^n of it. Statistics of other weights or another
domain, swapped or corrupt ones do neither.
"""

from __future__ import annotations

import statistics

from analyzers.case import Case, Finding, LayerCase
from analyzers.causes._contest import confidence
from analyzers.causes._lag import EXPLAINED, agrees, lags
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


def judge(case: Case) -> Finding | None:
    """Present where layers diverge, and a common m^n explains how."""
    lagging = [x for x in case.normalizing if lags(x, case)]
    if not lagging or case.inference_better or order_explains(case) or scale_alone_explains(case):
        return None
    updates = statistics.median(x.clock.updates for x in lagging if x.clock and x.clock.updates is not None)
    counted = agrees(updates, case.optimizer_iterations)
    most = 0.98 if counted else 0.95 if not case.optimizer_iterations else 0.8
    return Finding(
        confidence(case, CODE, most=most),
        severity_of_gap(case),
        _explanation(case, lagging, updates),
        worst_first(lagging),
        _evidence(case, lagging, updates),
        share(lagging, case),
    )


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
