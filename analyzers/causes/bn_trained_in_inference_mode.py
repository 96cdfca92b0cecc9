"""Batch normalization was inert while the model was trained: statistics at their start, and inference is the good
phase.

A custom loop that calls the model without `training=True`, or a subclass whose `call` has no `training` argument. The
weights were fitted around an identity; recalibrating would break a working model.
"""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import divergence_evidence, loss_evidence, works, worst_first
from analyzers.report import Evidence
from analyzers.wording import plural

TITLE = "The model was trained with batch normalization in inference mode"
SOURCE = "tensorflow/tensorflow issues 32864 and 36073: the training flag did not reach the layers"


def judge(case: Case) -> Finding | None:
    """Present where statistics never moved and labels say that the inference phase is the good one."""
    untouched = [x for x in case.normalizing if x.at_start and x.significant]
    gain = case.gap.statistics_gain
    untrained = case.weights.untrained or (case.weights.left_at_start and not works(case))
    if not untouched or gain is None or untrained or not (case.inference_better or _as_good(case)):
        return None
    return Finding(
        0.95 if case.inference_better else 0.75,
        "warning",
        f"The moving statistics of {plural(len(untouched), 'layer')} never left mean 0 and variance 1, and yet the "
        "inference phase predicts well while the training phase does not: the weights were fitted with these layers "
        "inert. Predictions are fine as they are. Do not recalibrate: it would break them. To train with batch "
        "normalization at work, pass `training=True` in the loop, and a `training` argument through every `call`.",
        worst_first(untouched),
        [
            Evidence(name="loss_with_calibrated_statistics", value=gain.after, reference=gain.before, unit="loss"),
            *divergence_evidence(untouched),
            *loss_evidence(case),
        ],
        case.gap.systematic,
    )


def _as_good(case: Case) -> bool:
    """Whether inference works and other statistics raise its loss, be it by little: trained ones would lower it."""
    gain = case.gap.statistics_gain
    good = all(x.inference_accuracy > max(x.majority, x.training_accuracy - 1e-9) for x in case.labels)
    return gain is not None and gain.mean < 0 and good and case.gap.systematic_significant
