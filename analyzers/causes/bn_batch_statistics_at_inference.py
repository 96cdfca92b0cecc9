"""A layer uses batch statistics at inference: a training flag that is wired to True somewhere inside the model."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import loss_evidence
from analyzers.report import Evidence
from analyzers.wording import plural

TITLE = "Batch statistics are in use at inference"
SOURCE = "keras-team/keras issue 10381, tensorflow/tensorflow issue 43833: layers called with training=True for good"


def judge(case: Case) -> Finding | None:
    """Present where a layer normalized by its batch although the model was called for inference."""
    layers = [x.path for x in case.layers if x.batch_at_inference]
    if not layers:
        return None
    return Finding(
        0.97,
        "warning",
        f"Called for inference, {plural(len(layers), 'layer')} still normalized by the batch: somewhere inside the "
        "model the training flag is fixed to True. What a sample gets then depends on the samples beside it, and a "
        "single sample gets nonsense. The stored statistics are never read, so recalibrating them changes nothing. "
        "Pass the flag through.",
        layers,
        [Evidence(name="layers_on_batch_statistics", value=len(layers), reference=0), *loss_evidence(case)],
        1.0,
    )
