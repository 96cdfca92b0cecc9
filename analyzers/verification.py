"""A remedy tried on samples that it was not computed from.

Recalibrated on a sample and judged on the same sample, any statistics look perfect: the gap is then zero by
construction. So statistics are taken from some folds and judged on the others (cross-fitting), each sample by
statistics of samples other than itself, and the improvement is a paired difference over samples with its interval.
Where the sample is too small to hold anything out, the report says so and verifies nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzers.case import Paired
from analyzers.evaluation import Evaluator, prediction_agreement
from analyzers.observation import Observer, Pass
from analyzers.outputs import Outputs
from analyzers.phase import Calibrated, flatten, paired
from analyzers.report import Verification, VerificationStatus
from analyzers.statistics import relative_rms
from analyzers.wording import plural

WORST = 1e6  # Stands for a loss that is not finite.
FEWEST_SAMPLES = 16  # Below this a quarter held out is fewer than four samples: an interval over them means nothing.


@dataclass(frozen=True)
class Tried:
    """A statistics remedy and how it fared."""

    fitted: Calibrated
    verification: Verification


def verify_statistics(
    observer: Observer, evaluator: Evaluator, inference: Pass, training: Pass, fitted: Calibrated
) -> Verification:
    """Hold inference with new statistics against inference with the stored ones."""
    if observer.batch.samples < FEWEST_SAMPLES:
        return _too_few(observer.batch.samples, evaluator, inference, training, fitted)
    loss, distance = _gains(evaluator, inference, training, fitted)
    gain = distance if loss is None else loss
    what = "squared distance to the training phase" if loss is None else "loss"
    status = _status(loss, distance)
    each = evaluator.per_sample(inference.outputs)
    broken = each is not None and not bool(np.isfinite(each).all())
    return Verification(
        status=status,
        method=_method(fitted, what),
        samples=observer.batch.samples,
        before=_figures(evaluator, inference.outputs, training, inference.penalty),
        after=_figures(evaluator, fitted.held_out, training, inference.penalty),
        interval=None if broken else gain.interval,
        note=_note(status, gain, what, labelled=loss is not None, broken=broken),
    )


def _too_few(samples: int, evaluator: Evaluator, inference: Pass, training: Pass, fitted: Calibrated) -> Verification:
    before = _figures(evaluator, inference.outputs, training, inference.penalty)
    after = _figures(evaluator, fitted.outputs, training, inference.penalty)
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


def _status(loss: Paired | None, distance: Paired) -> VerificationStatus:
    """Verified where surely better; rejected where no better on average; else open."""
    gain = distance if loss is None else loss
    if gain.interval[0] > 0 or (gain.mean > 0 and distance.interval[0] > 0):
        return "verified"
    return "not_tested" if gain.mean > 0 else "rejected"


def _note(status: VerificationStatus, gain: Paired, what: str, *, labelled: bool, broken: bool) -> str:
    parts = [] if broken else [f"95 % interval of the decrease of the {what} per sample."]
    if broken:
        parts.append("Before, some losses were not finite, so no interval can be given.")
    if status == "verified" and gain.interval[0] <= 0:
        parts.append("The loss is lower on average, and the outputs are surely nearer to the training phase.")
    if status == "not_tested":
        parts.append("Better on average, but not surely: the interval includes 0. More samples would decide it.")
    if not labelled:
        parts.append(
            "Without labels nothing says which phase is right: this says that inference comes nearer to training."
        )
    return " ".join(parts)


def _method(fitted: Calibrated, what: str) -> str:
    if not fitted.floor.size:
        return f"statistics taken from no sample, {what} of all of them, paired over samples"
    return f"cross-fitted: statistics from some samples, {what} of the others, paired over samples"


def _gains(evaluator: Evaluator, inference: Pass, training: Pass, fitted: Calibrated) -> tuple[Paired | None, Paired]:
    """Decrease of the loss, where there is one, and of the squared distance to the training phase, per sample."""
    target = flatten(training.outputs)
    distances = (np.square(flatten(o) - target).mean(axis=1) for o in (inference.outputs, fitted.held_out))
    losses = [evaluator.per_sample(o) for o in (inference.outputs, fitted.held_out)]
    distance = paired(*distances)
    assert distance is not None
    if losses[0] is None or losses[1] is None:
        return None, distance
    # A loss that is not finite is the worst there is, not a sample to leave out.
    return paired(*(np.nan_to_num(v, nan=WORST, posinf=WORST) for v in losses if v is not None)), distance


def _figures(evaluator: Evaluator, outputs: Outputs, training: Pass, penalty: float) -> dict[str, float | None]:
    figures = evaluator.figures(outputs, penalty)
    target = flatten(training.outputs)
    return {
        "loss": figures.loss,
        **figures.metrics,
        "distance_to_training_phase": relative_rms(flatten(outputs) - target, [target]),
        "agreement_with_training_phase": prediction_agreement(outputs, training.outputs),
    }
