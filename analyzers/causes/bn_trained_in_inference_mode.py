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
WHAT = (
    "If the training flag never reaches the layers (a custom loop that calls `model(x)` without `training=True`, or a "
    "subclass whose `call` has no `training` argument), batch normalization runs as an identity with a scale and an "
    "offset during the whole training: it normalizes with mean 0 and variance 1. The weights are fitted around that. "
    "Inference repeats exactly what was trained; the training phase, with batch statistics, is what the model has "
    "never seen."
)
LOOKS = (
    "A phase gap the wrong way round: inference predicts well, the training phase does not. Layers store exactly mean "
    "0 and variance 1. The loss rises when statistics taken from the data are put in."
)
EVIDENCE = {
    "loss_with_calibrated_statistics": (
        "Inference loss with statistics taken from held-out samples. Held against the loss with the statistics as "
        "stored, which is lower here."
    ),
}
LOOK_ALIKES = {
    "bn_statistics_never_updated": (
        "The same stored values, but there the training phase is the good one and recalibration helps. Taking the one "
        "for the other breaks a working model."
    ),
    "bn_small_batch": "A poor training phase at a tiny batch size with statistics that did move is another fault.",
}


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
