"""Statistics of another domain that never moved, while training used batch statistics."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._lag import lags
from analyzers.causes._shared import divergence_evidence, loss_evidence, severity_of_gap, share, worst_first
from analyzers.report import Evidence

TITLE = "Pre-trained statistics of another domain, kept frozen"
SOURCE = "keras-team/keras pull 9965: frozen batch normalization under a head that is trained on batch statistics"
WHAT = (
    "A body pre-trained on one domain is used on another with batch normalization at momentum 1 (or so close to it "
    "that statistics cannot move), while the new training runs in the training phase: the head learns from features "
    "normalized by the new domain's batches. Inference normalizes with the old domain's statistics. Since TensorFlow "
    "2, and in Keras 3, `trainable = False` puts such a layer into inference mode, where both phases agree; momentum "
    "1 does not."
)
LOOKS = "A phase gap in which the layers that could not move are off, the first of them most, fading with depth."
EVIDENCE = {
    "momentum": (
        "Momentum of the first layer that is off. Held against the value from which on statistics stay where they "
        "were for thousands of steps."
    ),
}
LOOK_ALIKES = {
    "input_distribution_shift": (
        "The same picture at an ordinary momentum: the sample is strange, and nothing was frozen. From the files "
        "alone a new domain and a wrongly prepared input can be the same evidence; the question is whether production "
        "data look like this sample."
    ),
    "bn_statistics_unconverged": "A lag starts from 0 and 1. Here the stored values are those of other data.",
    "bn_statistics_stale": "There the divergence does not fade behind the first layers.",
}

FROZEN = 0.9999  # Momentum from here on keeps statistics where they were for thousands of steps.


def judge(case: Case) -> Finding | None:
    """Present where statistics could not move, and the layers that see the input first are the ones that are off."""
    layers = [
        x for x in case.normalizing if x.momentum >= FROZEN and x.significant and not x.at_start and not lags(x, case)
    ]
    if not layers or case.inference_better or not case.gap.systematic_significant:
        return None
    first = case.at_input[0]
    if first.path not in {x.path for x in layers} or first.figures.kl < max(x.figures.kl for x in layers) / 2:
        return None
    return Finding(
        0.92,
        severity_of_gap(case),
        f"At momentum {first.momentum:g} the moving statistics never move, so they are still those of the data that "
        "the model was pre-trained on, while whatever was trained since saw batch statistics. The shift is largest "
        "in the first layers and fades behind them: this sample comes from another domain, or was prepared "
        "differently. Which of the two the files cannot tell. Ask: is this how production data look? If so, "
        "recalibrate on them, or train the head with batch normalization in inference mode (`trainable = False`). If "
        "not, prepare inputs as in pre-training.",
        worst_first(layers),
        [
            Evidence(name="momentum", value=first.momentum, reference=FROZEN, layer=first.path),
            *divergence_evidence(layers),
            *loss_evidence(case),
        ],
        share(layers, case),
    )
