"""The prescribing stage: which remedies apply, how they fared, and which one to recommend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzers.case import Case, Finding
from analyzers.causes import Cause
from analyzers.evaluation import Evaluator
from analyzers.measuring import Measured
from analyzers.observation import Observer
from analyzers.phase import Calibrated, calibrated
from analyzers.remedies import Remedy, for_cause
from analyzers.report import RemedyFinding, Verification
from analyzers.switchboard import Constants
from analyzers.verification import verify_statistics

# Where the input itself is off, new statistics would fit the model to the wrong scale and vouch for themselves.
FORBID_NEW_STATISTICS = frozenset(
    {
        "input_scaling_mismatch",
        "input_distribution_shift",
        "input_channel_order_mismatch",
        "bn_trained_in_inference_mode",
        "bn_small_batch",
        "bn_batch_composition",
        "bn_per_timestep",
        "weights_untrained",
        "bn_batch_statistics_at_inference",
    }
)


@dataclass(frozen=True)
class Prescription:
    """Remedies tried, the recommended one's code, and its new statistics by path where it changes any."""

    remedies: list[RemedyFinding]
    recommended: str | None
    constants: dict[str, Constants]


def prescribe(
    observer: Observer,
    evaluator: Evaluator,
    measured: Measured,
    findings: list[tuple[Cause, Finding]],
    primary: str | None,
) -> Prescription:
    """Try every remedy of every cause found; recommend one that treats the primary cause and was not rejected."""
    codes = {cause.code for cause, _ in findings}
    found: dict[str, RemedyFinding] = {}
    constants: dict[str, dict[str, Constants]] = {}
    for cause, finding in findings:
        for remedy in for_cause(cause.code):
            if remedy.code in found:
                continue
            if remedy.paths is None and remedy.constants is None:
                found[remedy.code] = _advice(remedy, measured.case, finding)
            elif finding.severity != "info" and not codes & FORBID_NEW_STATISTICS:
                fitted = _fitted(observer, measured, remedy, finding)
                if fitted is not None:
                    found[remedy.code] = _tried(observer, evaluator, measured, remedy, finding, fitted)
                    constants[remedy.code] = fitted.constants
    recommended = next(
        (c for c, r in found.items() if primary in r.treats and r.verification.status != "rejected"), None
    )
    remedies = [
        r.model_copy(update={"repaired_model": r.code == recommended and r.code in constants}) for r in found.values()
    ]
    remedies.sort(key=lambda r: r.code != recommended)
    return Prescription(remedies, recommended, constants.get(recommended or "", {}))


def _fitted(observer: Observer, measured: Measured, remedy: Remedy, finding: Finding) -> Calibrated | None:
    if remedy.constants is not None:
        known = remedy.constants(measured.case, finding)
        outputs = observer.with_statistics(known).outputs
        return Calibrated(known, outputs, outputs, np.zeros(0))
    assert remedy.paths is not None
    paths = remedy.paths(measured.case, finding)
    drawing = measured.case.stochastic or measured.case.augmentation
    if paths is None and not drawing:
        return measured.fitted
    return calibrated(observer, measured.training, as_trained=False, paths=paths)


def _advice(remedy: Remedy, case: Case, finding: Finding) -> RemedyFinding:
    return RemedyFinding(
        code=remedy.code,
        title=remedy.title,
        explanation=remedy.explain(case, finding),
        snippet=remedy.snippet(case),
        verification=Verification(
            status="not_tested", method="none: this remedy lies outside the file", samples=case.samples
        ),
        treats=list(remedy.treats),
    )


def _tried(
    observer: Observer, evaluator: Evaluator, measured: Measured, remedy: Remedy, finding: Finding, fitted: Calibrated
) -> RemedyFinding:
    return RemedyFinding(
        code=remedy.code,
        title=remedy.title,
        explanation=remedy.explain(measured.case, finding),
        snippet=remedy.snippet(measured.case),
        verification=verify_statistics(observer, evaluator, measured.inference, measured.training, fitted),
        treats=list(remedy.treats),
    )
