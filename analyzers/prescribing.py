"""The prescribing stage: which remedies apply, how they fared, and which one to recommend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analyzers.case import Case, Finding
from analyzers.causes import Cause
from analyzers.evaluation import Evaluator
from analyzers.instance_trial import attempt
from analyzers.measuring import Measured
from analyzers.observation import Observer
from analyzers.phase import Calibrated, calibrated
from analyzers.priors import Prior, prior
from analyzers.remedies import Remedy, for_cause
from analyzers.remedies._recalibration import Recipe, snippet
from analyzers.report import RemedyFinding, Verification
from analyzers.switchboard import Constants
from analyzers.verification import Trial, Tried, try_statistics

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
WRONG_LABELS = frozenset({"labels_misaligned", "label_mapping_mismatch"})

Findings = Sequence[tuple[Cause, Finding]]


@dataclass(frozen=True)
class Prescription:
    """Remedies tried, the recommended one's code, and its new statistics by path where it changes any."""

    remedies: list[RemedyFinding]
    recommended: str | None
    constants: dict[str, Constants]


def prescribe(
    observer: Observer, evaluator: Evaluator, measured: Measured, findings: Findings, primary: str | None
) -> Prescription:
    """Try every remedy of every cause found; recommend one that treats the primary cause and was not rejected."""
    loud = [(c, f) for c, f in findings if f.severity != "info"]
    trusted = not WRONG_LABELS & {c.code for c, _ in loud}
    trial = Trial(observer, evaluator, measured.inference, measured.training, trusted)
    allowed = not FORBID_NEW_STATISTICS & {c.code for c, _ in findings}
    found: dict[str, RemedyFinding] = {}
    constants: dict[str, dict[str, Constants]] = {}
    for cause, finding in findings:
        for remedy in (r for r in for_cause(cause.code) if r.code not in found):
            if remedy.paths is None and remedy.constants is None:
                found[remedy.code] = _advice(remedy, measured.case, finding)
                if remedy.rebuild is not None and finding.severity != "info":
                    found[remedy.code].verification = attempt(trial, measured, remedy.rebuild)
            elif finding.severity != "info" and allowed:
                tried = _try(trial, measured, remedy, finding, loud)
                if tried is not None:
                    found[remedy.code] = tried[0]
                    constants.update({remedy.code: tried[1]} if tried[1] else {})
    recommended = next(
        (c for c, r in found.items() if primary in r.treats and r.verification.status != "rejected"), None
    )
    remedies = [
        r.model_copy(update={"repaired_model": r.code == recommended and r.code in constants}) for r in found.values()
    ]
    remedies.sort(key=lambda r: r.code != recommended)
    return Prescription(remedies, recommended, constants.get(recommended or "", {}))


def _advice(remedy: Remedy, case: Case, finding: Finding) -> RemedyFinding:
    untried = Verification(status="not_tested", method="none: this remedy lies outside the file", samples=case.samples)
    return RemedyFinding(
        code=remedy.code,
        title=remedy.heading(case),
        explanation=remedy.explain(case, finding),
        snippet=remedy.snippet(case),
        verification=remedy.verification(case) or untried,
        treats=list(remedy.treats),
    )


def _try(
    trial: Trial, measured: Measured, remedy: Remedy, finding: Finding, loud: Findings
) -> tuple[RemedyFinding, dict[str, Constants]] | None:
    """A remedy that changes statistics, tried, with the statistics of the model that it makes where that is offered."""
    case = measured.case
    if remedy.constants is not None:
        known = remedy.constants(case, finding)
        if not known:
            return _advice(remedy, case, finding), {}
        outputs = trial.observer.with_statistics(known).outputs
        tried = try_statistics(trial, Calibrated(known, outputs, outputs, np.zeros(0)), None)
        text, code = "", remedy.snippet(case)
    else:
        beside = [(c, f) for c, f in loud if _takes_statistics(c)]
        paths = _together(case, beside)
        fitted = _fitted(trial.observer, measured, paths)
        if fitted is None:
            return None
        before = prior(case, {c.code for c, _ in beside}, list(fitted.constants))
        tried = try_statistics(trial, fitted, before)
        text, code = _told(tried, beside, remedy), snippet(_recipe(tried, case, paths))
    made = RemedyFinding(
        code=remedy.code,
        title=remedy.title,
        explanation=remedy.explain(case, finding) + text,
        snippet=code,
        verification=tried.verification,
        treats=list(remedy.treats),
    )
    return made, tried.choice.fitted.constants if tried.offered else {}


def _takes_statistics(cause: Cause) -> bool:
    return any(r.paths is not None for r in for_cause(cause.code))


def _together(case: Case, beside: Findings) -> list[str] | None:
    """The layers that any of the faults concerns: one remedy mends all of them, since each would spoil the others'."""
    named: list[str] = []
    for cause, finding in beside:
        wanted = next(r.paths for r in for_cause(cause.code) if r.paths is not None)(case, finding)
        if wanted is None:
            return None
        named += [p for p in wanted if p not in named]
    return named


def _fitted(observer: Observer, measured: Measured, paths: list[str] | None) -> Calibrated | None:
    drawing = measured.case.stochastic or measured.case.augmentation
    if paths is None and not drawing:
        return measured.fitted
    return calibrated(observer, measured.training, as_trained=False, paths=paths)


def _recipe(tried: Tried, case: Case, paths: list[str] | None) -> Recipe:
    taken: Prior | None = tried.choice.prior
    plain = Recipe(case.samples, paths)
    if taken is None:
        return plain
    unknown = {p: [int(i) for i in np.flatnonzero(np.isnan(m.mean))] for p, m in taken.moments.items()}
    return replace(
        plain,
        share=tried.choice.way.share,
        updates=taken.updates,
        unknown={p: c for p, c in unknown.items() if c},
    )


def _told(tried: Tried, beside: Findings, remedy: Remedy) -> str:
    """What the competition chose, and what else is mended by the same statistics."""
    parts = []
    if tried.choice.prior is not None:
        parts.append(f"Of the ways tried, this one was taken: {tried.choice.way.name}.")
    others = [c.title for c, _ in beside if c.code not in remedy.treats]
    if others:
        parts.append(f"The same statistics mend what else was found: {'; '.join(others)}.")
    return "".join(f" {p}" for p in parts)
