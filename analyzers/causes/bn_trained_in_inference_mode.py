"""Batch normalization was inert while the model was trained: statistics at their start, and inference is the good
phase.

A custom loop that calls the model without `training=True`, or a subclass whose `call` has no `training` argument. The
weights were fitted around an identity; recalibrating would break a working model.
"""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import divergence_evidence, loss_evidence, worst_first
from analyzers.report import Evidence
from analyzers.wording import plural

TITLE = "The model was trained with batch normalization in inference mode"
SOURCE = "tensorflow/tensorflow issues 32864 and 36073: the training flag did not reach the layers"


def judge(case: Case) -> Finding | None:
    """Present where statistics never moved and labels say that the inference phase is the good one."""
    untouched = [x for x in case.normalizing if x.at_start and x.significant]
    if not untouched or not case.inference_better or case.weights.untrained:
        return None
    gain = case.gap.statistics_gain
    assert gain is not None
    return Finding(
        0.95,
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
