"""Stored statistics exactly at their start while the weights were trained, and the training phase is the good one.

Typical of a custom loop that drops the updates, or of saving the trainable weights alone.
"""

from __future__ import annotations

from analyzers.case import Case, Finding, LayerCase
from analyzers.causes._shared import divergence_evidence, loss_evidence, severity_of_gap, share, worst_first
from analyzers.report import Evidence
from analyzers.wording import plural

TITLE = "Moving statistics were never updated, or not saved"
SOURCE = "keras-team/keras issues 6752 and 6599: training that never ran the update operations"
WHAT = (
    "The moving mean and variance are not trained by gradients: they are updated as a side effect of calling the "
    "layer with `training=True`. A custom loop that drops these updates, a checkpoint of the trainable weights alone, "
    "or a converter that leaves them out ends with weights that were trained with batch statistics, and stored "
    "statistics that still stand at mean 0 and variance 1. Inference then normalizes with numbers that have nothing "
    "to do with the data."
)
LOOKS = (
    "A phase gap with the training phase as the good one. At least half of the layers have status `never_updated`: "
    "means exactly 0 and variances exactly 1 in every channel, while kernels, gammas and betas have left their "
    "initial values."
)
EVIDENCE = {
    "layers_at_initial_statistics": (
        "Diverging layers that store exactly mean 0 and variance 1. Held against the number of layers that use batch "
        "statistics."
    ),
    "kernels_at_initial_values": (
        "Layers whose weights look as their initializers draw them. Held against all layers with weights: few of many "
        "means that the model was trained."
    ),
}
LOOK_ALIKES = {
    "bn_statistics_unconverged": (
        "One update at any momentum below 1 leaves a trace; exact zeros and ones mean that there was none."
    ),
    "bn_trained_in_inference_mode": (
        "The stored values look the same. The labels tell: there the inference phase predicts well and other "
        "statistics make it worse; here they make it better. Without labels the question stays open and confidence is "
        "lower."
    ),
    "weights_untrained": (
        "There the kernels are at their initial values, too: nothing was trained, or nothing was loaded."
    ),
}

MOST = 0.5  # At least half of the layers: a few untouched ones beside converged ones are another story.


def judge(case: Case) -> Finding | None:
    """Present where most layers hold exactly mean 0 and variance 1, and the weights do not."""
    untouched = [x for x in case.normalizing if x.at_start and x.significant]
    if not untouched or len(untouched) < MOST * len(case.normalizing):
        return None
    if {x.path for x in untouched} <= set(case.weights.left_at_start):
        return None  # Nothing of these layers was trained, or restored: their statistics are the least of it.
    gain = case.gap.statistics_gain
    works = bool(case.labels) and all(
        x.inference_accuracy > max(x.majority, x.training_accuracy - 0.01) for x in case.labels
    )
    if case.weights.untrained or case.inference_better or (gain is not None and gain.mean < 0 and works):
        return None
    return Finding(
        _confidence(case),
        severity_of_gap(case),
        f"The moving statistics of {plural(len(untouched), 'layer')} are exactly mean 0 and variance 1, while the "
        "weights were trained. An update at any momentum below 1 would have left a trace: so the updates never ran, "
        "or only the trainable weights were saved. In a custom training loop, call the model with `training=True` "
        "and save the whole model.",
        worst_first(untouched),
        _evidence(case, untouched),
        share(untouched, case),
    )


def _confidence(case: Case) -> float:
    if case.gap.statistics_gain is None:
        return 0.7  # Without labels nothing says which phase is the good one.
    return 0.97 if case.gap.statistics_gain.z > 3 else 0.6


def _evidence(case: Case, untouched: list[LayerCase]) -> list[Evidence]:
    return [
        Evidence(name="layers_at_initial_statistics", value=len(untouched), reference=len(case.normalizing)),
        Evidence(name="kernels_at_initial_values", value=len(case.weights.at_initial_values), unit="layers",
                 reference=case.weights.layers),
        *divergence_evidence(untouched),
        *loss_evidence(case),
    ]  # fmt: skip
