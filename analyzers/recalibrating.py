"""Remedies that change stored statistics, tried: which layers, from which inputs, and what the report says of it.

Faults beside each other decide what can be done. Several faults of the statistics are mended by one set of new
statistics, since each would spoil the trial of the others. Where the input was prepared wrongly, statistics of the
sample as it came would fit the model to the wrong input and vouch for themselves: they are tried on the corrected input
where a correction is known, and never served. Where other statistics are no cure at all, the remedy says what is.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np

from analyzers import data_plan
from analyzers.case import Case, Finding
from analyzers.causes import Cause
from analyzers.causes._scale import scale_explains
from analyzers.causes._shared import channels_explain
from analyzers.competition import rival
from analyzers.measuring import Measured
from analyzers.observation import Observer
from analyzers.phase import Calibrated, calibrated
from analyzers.priors import Prior, prior
from analyzers.probes.inputs import colours_reversed
from analyzers.probes.responses import scaled
from analyzers.remedies import Remedy, for_cause
from analyzers.remedies._recalibration import Recipe, snippet
from analyzers.report import RemedyFinding, Verification
from analyzers.subjects.normalizing import Constants
from analyzers.switchboard import Setting
from analyzers.verification import Trial, Tried, try_statistics

WRONG_INPUT = frozenset(
    {
        "input_scaling_mismatch",
        "input_channel_order_mismatch",
        "input_distribution_shift",
        "normalization_layer_not_adapted",
    }
)
NO_CURE = {
    "bn_trained_in_inference_mode": "the weights learned with the stored statistics, which new ones would take away",
    "bn_small_batch": "the weights learned with statistics of a few samples, which no pooled ones can stand for",
    "bn_batch_composition": "the weights learned from batches of one kind each, which no pooled ones can stand for",
    "bn_per_timestep": "the weights learned with statistics of single steps, and the layer stores one set for all",
    "weights_untrained": "statistics belong to their weights, and these weights are still to be restored",
    "bn_batch_statistics_at_inference": "layers normalize by their batch at inference and never read what they store",
}
"""Why other statistics do not help, or not yet, by cause."""

Findings = Sequence[tuple[Cause, Finding]]


@dataclass(frozen=True)
class Outcome:
    """A remedy as the report tells it, and the statistics of the model that it makes, where that may be served."""

    remedy: RemedyFinding
    constants: dict[str, Constants]
    blocked: bool = False


def attempt(trial: Trial, measured: Measured, remedy: Remedy, finding: Finding, loud: Findings) -> Outcome | None:
    """Try a remedy in the presence of all `loud` findings; None where no layer uses batch statistics."""
    codes = [c.code for c, _ in loud]
    wrong, no_cure = [c for c in codes if c in WRONG_INPUT], [c for c in codes if c in NO_CURE]
    if no_cure:
        reason = f"Not tried, and not to be done first: {NO_CURE[no_cure[0]]}."
        return Outcome(_untried(measured.case, remedy, finding, reason), {}, blocked=True)
    if wrong:
        return _on_corrected(trial, measured, remedy, finding, loud)
    return _try(trial, measured, remedy, finding, loud)


def _try(trial: Trial, measured: Measured, remedy: Remedy, finding: Finding, loud: Findings) -> Outcome | None:
    case = measured.case
    if remedy.constants is not None:
        return _known(trial, measured, remedy, finding)
    beside = [(c, f) for c, f in loud if _takes_statistics(c)]
    paths = _together(case, beside)
    fitted = _fitted(trial, measured, paths)
    if fitted is None:
        return None
    tried = try_statistics(trial, fitted, prior(case, {c.code for c, _ in beside}, list(fitted.constants)))
    made = written(case, remedy, finding, tried.verification)
    made.explanation += _told(tried, beside, remedy, case)
    made.snippet = snippet(_recipe(tried, case, paths))
    return Outcome(made, tried.choice.fitted.constants if tried.offered else {})


def _known(trial: Trial, measured: Measured, remedy: Remedy, finding: Finding) -> Outcome:
    """Statistics that follow from what is stored: nothing of the sample is in them, so all of it judges."""
    assert remedy.constants is not None
    known = remedy.constants(measured.case, finding)
    if not known:
        return Outcome(written(measured.case, remedy, finding, None), {})
    outputs = trial.observer.with_statistics(known).outputs
    tried = try_statistics(trial, Calibrated(known, outputs, outputs, np.zeros(0)), None)
    if measured.fitted is not None:
        base, other = trial.inference.outputs, measured.fitted.held_out
        tried.verification.rivals.insert(0, rival("recalibration", trial.score(other), trial.score(base)))
    return Outcome(written(measured.case, remedy, finding, tried.verification), known if tried.offered else {})


def _on_corrected(trial: Trial, measured: Measured, remedy: Remedy, finding: Finding, loud: Findings) -> Outcome | None:
    """The remedy tried on the input as it should have been, where that is known; told, never served."""
    case = measured.case
    first = "Prepare the input as in training first: statistics of this sample as it came would fit the wrong input."
    if not (channels_explain(case) or scale_explains(case)) or remedy.paths is None:
        return Outcome(_untried(case, remedy, finding, first), {}, blocked=True)
    with _corrected(trial.observer, case):
        inference = trial.observer.run(Setting())
        training = trial.observer.run(Setting(training=True))
        corrected = replace(trial, inference=inference, training=training)
        fitted = calibrated(trial.observer, training, as_trained=False)
        again = replace(measured, inference=inference, training=training, fitted=fitted)
        outcome = _try(corrected, again, remedy, finding, loud)
    if outcome is None:
        return None
    tried = outcome.remedy.verification
    told = f"{first} Tried on the corrected input: before and after are both of it. No repaired model is offered, "
    tried.note = f"{told}since it would rest on a correction that nobody has confirmed. {tried.note}"
    tried.status = "rejected" if tried.status == "rejected" else "not_tested"
    return Outcome(outcome.remedy, {}, blocked=True)


def _corrected(observer: Observer, case: Case) -> AbstractContextManager[None]:
    """The observer's batch as the correction makes it: colours reversed, or factor * x + offset."""
    if channels_explain(case):
        return observer.feeding(colours_reversed(observer.batch.x))
    trial = case.input_scale
    assert trial is not None  # asked for only where one of both explains
    return scaled(observer, trial.factor, trial.offset)


def _untried(case: Case, remedy: Remedy, finding: Finding, note: str) -> RemedyFinding:
    verification = Verification(status="not_tested", method="none", samples=case.samples, note=note)
    return written(case, remedy, finding, verification)


def written(case: Case, remedy: Remedy, finding: Finding, verification: Verification | None) -> RemedyFinding:
    """A remedy as the report tells it; `verification` None: what a probe's trial said of it, if any did."""
    untried = Verification(status="not_tested", method="none: this remedy lies outside the file", samples=case.samples)
    return RemedyFinding(
        code=remedy.code,
        title=remedy.heading(case),
        explanation=remedy.explain(case, finding),
        snippet=remedy.snippet(case),
        verification=verification or remedy.verification(case) or untried,
        treats=list(remedy.treats),
    )


def _takes_statistics(cause: Cause) -> bool:
    return any(r.paths is not None for r in for_cause(cause.code))


def _together(case: Case, beside: Findings) -> list[str] | None:
    """The layers that any of the faults concerns; None for all."""
    named: list[str] = []
    for cause, finding in beside:
        wanted = next(r.paths for r in for_cause(cause.code) if r.paths is not None)(case, finding)
        if wanted is None:
            return None
        named += [p for p in wanted if p not in named]
    return named


def _fitted(trial: Trial, measured: Measured, paths: list[str] | None) -> Calibrated | None:
    drawing = measured.case.stochastic or measured.case.augmentation
    if paths is None and not drawing:
        return measured.fitted
    return calibrated(trial.observer, trial.training, as_trained=False, paths=paths)


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


def _told(tried: Tried, beside: Findings, remedy: Remedy, case: Case) -> str:
    """What the competition chose, what else is mended by the same statistics, and what more data would do."""
    parts = []
    if tried.choice.prior is not None:
        parts.append(f"Of the ways tried, this one was taken: {tried.choice.way.name}.")
    others = [c.title for c, _ in beside if c.code not in remedy.treats]
    if others:
        parts.append(f"The same statistics mend what else was found: {'; '.join(others)}.")
    parts.append(data_plan.sentence(case))
    return "".join(f" {p}" for p in parts if p)
