"""From findings to a verdict, a primary cause and a headline: what a reader sees first."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analyzers.case import Case, Finding
from analyzers.causes import Cause
from analyzers.report import RemedyFinding, Severity, Verdict
from analyzers.wording import plural

ENOUGH = 16  # Samples from which on a quarter can be held out.
PROBABLE_Z = 2.5  # One-sided chance of 0.6 % ...
NOTABLE_GAIN = 0.25  # ... of a gain of a quarter of the loss, beside a cause with evidence of its own.
CERTAIN = 0.9  # A cause this sure decides a gap whose own noise cannot be estimated (three samples, say).


@dataclass(frozen=True)
class Judgement:
    """The verdict and what it rests on."""

    verdict: Verdict
    severity: Severity
    primary: str | None


def decide(case: Case, findings: list[tuple[Cause, Finding]]) -> Judgement:
    """The verdict follows from the gap; where that is undecided, a certain cause decides it."""
    loud = [(c, f) for c, f in findings if f.severity != "info"]
    primary = loud[0][0].code if loud else _benign(findings)
    severity: Severity = loud[0][1].severity if loud else "info"
    if case.gap.significant or case.non_finite_outputs:
        return Judgement("phase_gap", severity if loud or not _unexplained(case, primary) else "warning", primary)
    if loud and not loud[0][0].outside and loud[0][1].confidence >= CERTAIN and _probable(case):
        return Judgement("phase_gap", severity, primary)
    if not case.gap.undecided:
        return Judgement("no_phase_gap", severity, primary)
    if loud and loud[0][1].confidence >= CERTAIN:
        return Judgement("phase_gap", severity, primary)
    return Judgement("inconclusive", "warning" if loud else "info", primary)


def _probable(case: Case) -> bool:
    """Whether the training phase is probably the better one: enough where a cause that was tried says why."""
    gain = case.gap.training_gain
    return gain is not None and gain.z > PROBABLE_Z and gain.mean > NOTABLE_GAIN * max(gain.before, gain.mean)


def _benign(findings: list[tuple[Cause, Finding]]) -> str | None:
    """What answers the question where no fault is loud: what is as it should be, before faults that do no harm."""
    codes = [c.code for c, _ in findings if c.benign] or [c.code for c, _ in findings]
    return codes[0] if codes else None


def _unexplained(case: Case, primary: str | None) -> bool:
    return primary is None and (case.gap.systematic_significant or case.gap.training_better)


def headline(case: Case, judgement: Judgement, findings: list[tuple[Cause, Finding]], fix: RemedyFinding | None) -> str:
    """One or two sentences: what is wrong, where, what to do."""
    title = next((c.title for c, _ in findings if c.code == judgement.primary), None)
    layers = next((f.layers for c, f in findings if c.code == judgement.primary), [])
    what = _figures(case)
    if judgement.verdict == "inconclusive" and title is None:
        few = plural(case.samples, "sample")
        return f"{few} cannot tell a gap from chance: send {samples_to_settle(case)} or more. {what}"
    if judgement.verdict == "inconclusive" and title is not None:
        return f"{plural(case.samples, 'sample')} cannot decide it. Most likely: {title[0].lower()}{title[1:]}. {what}"
    if title is None:
        return f"The phases differ beyond chance, and none of the known causes explains it. {what}"
    question = next((f.question for c, f in findings if c.code == judgement.primary), "")
    where = f" ({_place(layers)})" if layers and judgement.primary != "weights_untrained" else ""
    if question:
        return f"Perhaps {title[0].lower()}{title[1:]}{where}. {what} {question}"
    remedy = f" {fix.title}." if fix is not None and fix.code != "none_needed" else ""
    return f"{title}{where}. {what}{remedy}".replace(". .", ".").strip()


def _place(layers: list[str]) -> str:
    names = [p.rsplit("/", 1)[-1] for p in layers[:2]]
    rest = len(layers) - len(names)
    return ", ".join(f"`{n}`" for n in names) + (f" and {rest} more" if rest > 0 else "")


def _figures(case: Case) -> str:
    name = next(iter(case.inference.metrics), None)
    if name is not None:
        inference, training = case.inference.metrics[name], case.training.metrics[name]
        return f"Inference gives {name} {inference:.3g}, the training phase {training:.3g}."
    if case.inference.loss is not None and case.training.loss is not None:
        return f"Inference gives loss {case.inference.loss:.3g}, the training phase {case.training.loss:.3g}."
    return f"Outputs of the phases differ by {100 * case.gap.total:.3g} % of their spread."


def samples_to_settle(case: Case) -> int:
    """Samples at which the noise floor would fall to a third of the difference seen: it falls as 1 / sqrt(n)."""
    if math.isnan(case.gap.noise_floor):
        return ENOUGH
    ratio = 3.0 * case.gap.noise_floor / max(case.gap.systematic, 1e-12)
    return max(ENOUGH, min(4096, int(case.samples * max(ratio, 2.0) ** 2)))
