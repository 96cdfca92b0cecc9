"""A remedy tried on samples that it was not computed from.

Recalibrated on a sample and judged on the same sample, any statistics look perfect: the gap is then zero by
construction. So statistics are taken from some folds and judged on the others (cross-fitting), each sample by
statistics of samples other than itself, and the improvement is a paired difference over samples with its interval.
Where the sample is too small to hold anything out, the report says so and verifies nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyzers.case import Paired
from analyzers.competition import FEWEST_SAMPLES, WORST, Choice, Score, compete
from analyzers.evaluation import Evaluator, prediction_agreement
from analyzers.observation import Observer, Pass
from analyzers.outputs import Outputs, Rows
from analyzers.phase import Calibrated, flatten, paired
from analyzers.priors import Prior
from analyzers.probes import labels
from analyzers.report import Verification, VerificationStatus
from analyzers.statistics import Array, relative_rms
from analyzers.wording import plural

# Share of right decisions whose loss an owner would mind, whatever the loss function says; a fall within one standard
# error, paired over samples, says nothing against a loss that surely fell.
FEWER_RIGHT = 0.02


@dataclass(frozen=True)
class Tried:
    """A statistics remedy, the way that was taken, and how it fared. `offered`: the repaired model may be served."""

    choice: Choice
    verification: Verification
    offered: bool


@dataclass(frozen=True)
class Trial:
    """What remedies are tried with: the passes of both phases as they are, and what they are judged by.

    `trusted`: the labels belong to the samples, so that losses say something.
    """

    observer: Observer
    evaluator: Evaluator
    inference: Pass
    training: Pass
    trusted: bool = True

    @property
    def measure(self) -> str:
        """What a trial is judged by."""
        judged = self.trusted and self.evaluator.has_loss
        return "loss" if judged else "squared distance to the training phase"

    def score(self, outputs: Outputs) -> Array:
        """The loss of each sample, or its distance, (samples,). What is not finite is the worst there is."""
        losses = self.evaluator.per_sample(outputs) if self.trusted else None
        return self.distance(outputs) if losses is None else np.nan_to_num(losses, nan=WORST, posinf=WORST)

    def distance(self, outputs: Outputs) -> Array:
        """Squared distance to the training phase, a mean over values, (samples,)."""
        each: Array = np.square(flatten(outputs) - flatten(self.training.outputs)).mean(axis=1)
        return each

    def figures(self, outputs: Outputs) -> dict[str, float | None]:
        """Loss, metrics and nearness to the training phase, for the report."""
        figures = self.evaluator.figures(outputs, self.inference.penalty)
        target = flatten(self.training.outputs)
        return {
            "loss": figures.loss,
            **figures.metrics,
            "distance_to_training_phase": relative_rms(flatten(outputs) - target, [target]),
            "agreement_with_training_phase": prediction_agreement(outputs, self.training.outputs),
        }


def try_statistics(trial: Trial, fitted: Calibrated, prior: Prior | None) -> Tried:
    """Let the ways of taking new statistics compete, and hold the winner against the stored ones."""
    base = trial.inference.outputs
    choice = compete(trial.observer, trial.score, base, fitted, prior)
    samples = trial.observer.batch.samples
    if samples < FEWEST_SAMPLES:
        few = _too_few(trial, fitted)
        return Tried(choice, few, few.status != "rejected")
    gain = _gain(trial.score, base, choice.fitted.held_out)
    distance = _gain(trial.distance, base, choice.fitted.held_out)
    before, after = trial.figures(base), trial.figures(choice.fitted.held_out)
    harm = _harm(trial, choice.fitted)
    status = _status(gain, distance, harm)
    each = trial.evaluator.per_sample(base)
    broken = each is not None and not bool(np.isfinite(each).all())
    verification = Verification(
        status=status,
        method=_method(choice, trial.measure),
        samples=samples,
        before=before,
        after=after,
        interval=None if broken else gain.interval,
        note=_note(status, gain, trial, broken=broken, harm=harm),
        rivals=choice.rivals,
    )
    return Tried(choice, verification, status != "rejected" and harm is None)


def _too_few(trial: Trial, fitted: Calibrated) -> Verification:
    samples = trial.observer.batch.samples
    before, after = trial.figures(trial.inference.outputs), trial.figures(fitted.outputs)
    worse = before["loss"] is not None and after["loss"] is not None and after["loss"] > before["loss"]
    return Verification(
        status="rejected" if worse else "not_tested",
        method="none: too few samples to hold any out",
        samples=samples,
        before=before,
        after=after,
        note=f"With {plural(samples, 'sample')} none can be held out in a meaningful way: the figures after are of "
        "the same samples that the statistics were taken from, which proves nothing about others. Send 16 or more "
        "for a "
        "verification." + (" Even on these the loss is higher than before." if worse else ""),
    )


def _gain(score: Score, before: Outputs, after: Outputs) -> Paired:
    gain = paired(score(before), score(after))
    assert gain is not None
    return gain


def _harm(trial: Trial, fitted: Calibrated) -> str | None:
    """What speaks against the new statistics although the mean gain may be positive, or None."""
    base = trial.inference.outputs
    each = trial.score(base) - trial.score(fitted.held_out)
    if any(_surely_negative(each, part) for part in fitted.parts):
        return "In one of the folds the held-out samples surely came out worse, so the folds do not agree."
    if not trial.trusted:
        return None
    was, now = (labels.decided(trial.observer, trial.evaluator, o) for o in (base, fitted.held_out))
    for before, after in zip(was, now, strict=True):
        fall = paired(before.right, after.right)
        if fall is not None and fall.mean > max(FEWER_RIGHT, fall.standard_error):
            return f"The share of right decisions falls from {fall.before:.3g} to {fall.after:.3g} on samples held out."
    return None


def _surely_negative(gains: Array, rows: Rows) -> bool:
    change = paired(gains[rows], np.zeros(len(rows)))
    return change is not None and len(rows) > 1 and change.interval[1] < 0


def _status(gain: Paired, distance: Paired, harm: str | None) -> VerificationStatus:
    """Verified where surely better; rejected where no better on average; else open."""
    if gain.mean <= 0:
        return "rejected"
    sure = gain.interval[0] > 0 or distance.interval[0] > 0
    return "verified" if sure and harm is None else "not_tested"


def _note(status: VerificationStatus, gain: Paired, trial: Trial, *, broken: bool, harm: str | None) -> str:
    parts = [] if broken else [f"95 % interval of the decrease of the {trial.measure} per sample."]
    if broken:
        parts.append("Before, some losses were not finite, so no interval can be given.")
    if status == "verified" and gain.interval[0] <= 0:
        parts.append("The loss is lower on average, and the outputs are surely nearer to the training phase.")
    if status == "not_tested" and harm is None:
        parts.append("Better on average, but not surely: the interval includes 0. More samples would decide it.")
    if status == "rejected":
        parts.append("No way of taking new statistics beats doing nothing on samples held out.")
    if harm is not None:
        parts.append(f"{harm} No repaired model is offered.")
    if not trial.trusted:
        parts.append("The labels were left out, since they do not belong to the samples as they stand.")
    elif not trial.evaluator.has_loss:
        parts.append(
            "Without labels nothing says which phase is right: this says that inference comes nearer to training."
        )
    return " ".join(parts)


def _method(choice: Choice, what: str) -> str:
    fitted: Sequence[Rows] = choice.fitted.parts
    if not len(fitted):
        return f"statistics taken from no sample, {what} of all of them, paired over samples"
    return (
        f"cross-fitted: statistics from some samples, {what} of the others, paired over samples; taken: "
        f"{choice.way.name}"
    )
