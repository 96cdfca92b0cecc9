"""The prescribing stage: which remedies apply, how they fared, and which one to recommend."""

from __future__ import annotations

from dataclasses import dataclass

from analyzers import instance_trial, recalibrating
from analyzers.case import Finding
from analyzers.evaluation import Evaluator
from analyzers.measuring import Measured
from analyzers.observation import Observer
from analyzers.recalibrating import WRONG_INPUT, Findings, Outcome
from analyzers.remedies import for_cause
from analyzers.report import RemedyFinding
from analyzers.subjects.normalizing import Constants
from analyzers.verification import Trial

WRONG_LABELS = frozenset({"labels_misaligned", "label_mapping_mismatch"})


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
    found: dict[str, Outcome] = {}
    for cause, finding in findings:
        for remedy in (r for r in for_cause(cause.code) if r.code not in found):
            if remedy.paths is None and remedy.constants is None:
                advice = recalibrating.written(measured.case, remedy, finding, None)
                if remedy.rebuild is not None and finding.severity != "info":
                    advice.verification = instance_trial.attempt(trial, measured, remedy.rebuild)
                found[remedy.code] = Outcome(advice, {})
            elif finding.severity != "info":
                outcome = recalibrating.attempt(trial, measured, remedy, finding, loud)
                found.update({} if outcome is None else {remedy.code: _until_answered(outcome, finding)})
    recommended = _recommended(found, primary, loud)
    remedies = [
        o.remedy.model_copy(update={"repaired_model": c == recommended and bool(o.constants)}) for c, o in found.items()
    ]
    remedies.sort(key=lambda r: r.code != recommended)
    return Prescription(remedies, recommended, found[recommended].constants if recommended else {})


def _until_answered(outcome: Outcome, finding: Finding) -> Outcome:
    """A sample vouches for itself only: where its own kind is in question, what helps it is neither verified nor
    served.
    """
    tried = outcome.remedy.verification
    if not finding.question or tried.status != "verified":
        return outcome
    tried.status, tried.note = "not_tested", f"{finding.question} {tried.note}"
    return Outcome(outcome.remedy, {}, outcome.blocked)


def _recommended(found: dict[str, Outcome], primary: str | None, loud: Findings) -> str | None:
    """What treats the primary cause; where another fault must be mended before it, what treats that."""
    possible = {c: o for c, o in found.items() if o.remedy.verification.status != "rejected"}
    chosen = next((c for c, o in possible.items() if primary in o.remedy.treats), None)
    if chosen is None or not possible[chosen].blocked:
        return chosen
    before = [c.code for c, _ in loud if c.code in WRONG_INPUT or c.code in recalibrating.NO_CURE]
    free = (c for c, o in possible.items() if not o.blocked and set(before) & set(o.remedy.treats))
    return next(free, chosen)
