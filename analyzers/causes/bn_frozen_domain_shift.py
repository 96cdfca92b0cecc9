"""Statistics of another domain that never moved, while training used batch statistics."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._lag import lags
from analyzers.causes._shared import divergence_evidence, loss_evidence, severity_of_gap, share, worst_first
from analyzers.report import Evidence

TITLE = "Pre-trained statistics of another domain, kept frozen"
SOURCE = "keras-team/keras pull 9965: frozen batch normalization under a head that is trained on batch statistics"

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
