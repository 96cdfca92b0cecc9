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
WHAT = (
    "While a model trains, batch normalization uses the mean and variance of the batch at hand. Beside that it keeps "
    "moving averages of them for inference, which start at mean 0 and variance 1 and move by `1 - momentum` of the "
    "way at each step. After n updates at momentum m they still carry m^n of that start. At Keras' default of 0.99 "
    "five updates leave 95 % of it, and it takes 459 until 1 % is left: a short training, a small data set or a high "
    "momentum ends before the averages have arrived. The weights are fine; the model that is asked is not the one "
    "that was trained."
)
LOOKS = (
    "A phase gap with the training phase as the good one. Most or all batch-normalizing layers have status `lagging`, "
    "and their `effective_updates` are few beside `updates_to_converge`. Stored means lie between 0 and those of the "
    "batch, stored variances between 1 and those of the batch, all by the same factor. More epochs make the gap "
    "smaller by themselves."
)
EVIDENCE = {
    "effective_updates": (
        "Updates that the stored statistics have seen, read from the statistics alone. Held against the number after "
        "which 1 % of the start is left."
    ),
    "optimizer_iterations": (
        "Steps that the optimizer in the file counts. Held against the effective updates: where the two agree, the "
        "cause is as good as proved."
    ),
    "divergence_explained_by_lag": (
        "Share of the layers' divergence that one common m^n accounts for. Held against the share from which on a lag "
        "is believed."
    ),
}
LOOK_ALIKES = {
    "bn_statistics_never_updated": (
        "There the stored values are exactly 0 and 1; here they have moved, if only by little."
    ),
    "bn_statistics_stale": (
        "Statistics of other weights fit no m^n: `divergence_explained_by_lag` stays low, and some stored variance "
        "lies below what the start alone would still contribute."
    ),
    "input_scaling_mismatch": (
        "A wrong scale is one constant factor in the first layers and leaves the layers behind them in order in the "
        "training phase; a lag is everywhere."
    ),
    "bn_trained_in_inference_mode": (
        "There inference is the phase that predicts well, and recalibrating would break it."
    ),
}


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
