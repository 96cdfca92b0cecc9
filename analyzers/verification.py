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
from analyzers.report import Verification
from analyzers.statistics import relative_rms

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
    samples = observer.batch.samples
    if samples < FEWEST_SAMPLES:
        return Verification(
            status="not_tested",
            method="none: too few samples to hold any out",
            samples=samples,
            before=_figures(evaluator, inference.outputs, training, inference.penalty),
            after=_figures(evaluator, fitted.outputs, training, inference.penalty),
            note=f"With {samples} samples none can be held out in a meaningful way: the figures after are of the same "
            "samples "
            "that the statistics were taken from, which proves nothing about others. Send 16 or more for a "
            "verification.",
        )
    gain = _gain(evaluator, inference, training, fitted)
    what = "loss" if evaluator.has_loss else "squared distance to the training phase"
    return Verification(
        status="verified" if gain.interval[0] > 0 else "rejected",
        method=f"cross-fitted: statistics from some samples, {what} of the others, paired over samples",
        samples=samples,
        before=_figures(evaluator, inference.outputs, training, inference.penalty),
        after=_figures(evaluator, fitted.held_out, training, inference.penalty),
        interval=gain.interval,
        note=f"interval: 95 % of the decrease of the {what} per held-out sample",
    )


def _gain(evaluator: Evaluator, inference: Pass, training: Pass, fitted: Calibrated) -> Paired:
    before, after = evaluator.per_sample(inference.outputs), evaluator.per_sample(fitted.held_out)
    if before is None or after is None:
        target = flatten(training.outputs)
        before = np.square(flatten(inference.outputs) - target).mean(axis=1)
        after = np.square(flatten(fitted.held_out) - target).mean(axis=1)
    # A loss that is not finite is the worst there is, not a sample to leave out.
    ceiling = 1e6
    result = paired(*(np.nan_to_num(v, nan=ceiling, posinf=ceiling) for v in (before, after)))
    assert result is not None
    return result


def _figures(evaluator: Evaluator, outputs: Outputs, training: Pass, penalty: float) -> dict[str, float | None]:
    figures = evaluator.figures(outputs, penalty)
    target = flatten(training.outputs)
    return {
        "loss": figures.loss,
        **figures.metrics,
        "distance_to_training_phase": relative_rms(flatten(outputs) - target, [target]),
        "agreement_with_training_phase": prediction_agreement(outputs, training.outputs),
    }
