"""A layer uses batch statistics at inference: a training flag that is wired to True somewhere inside the model."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import loss_evidence
from analyzers.report import Evidence
from analyzers.wording import plural

TITLE = "Batch statistics are in use at inference"
SOURCE = "keras-team/keras issue 10381, tensorflow/tensorflow issue 43833: layers called with training=True for good"
WHAT = (
    "Somewhere inside the model a layer is called with `training=True` for good, or a mean over the batch is computed "
    "by hand. Then inference normalizes by the batch, too: what a sample gets depends on the samples beside it, a "
    "single sample gets nonsense, and the stored statistics are never read. A flag recorded in a functional graph is "
    "overridden by `predict` and `evaluate`; one that is fixed inside a layer's own `call` is not."
)
LOOKS = (
    "Both phases may agree, which hides it. Layers normalized by their batch although the model was called for "
    "inference, or a sample's output changes with its neighbours beyond rounding."
)
EVIDENCE = {
    "layers_on_batch_statistics": "Layers that used the batch's statistics in the inference phase. Held against 0.",
    "difference_by_company": (
        "How far a sample's output moves when other samples stand beside it, in spreads of the outputs. Held against "
        "what rounding could leave."
    ),
}
LOOK_ALIKES = {
    "stochastic_at_inference": (
        "There the same batch twice gives different outputs; here the same batch gives the same, another batch another."
    ),
    "bn_statistics_stale": "Recalibration does nothing here: the statistics are not in use.",
    "stateful_layers": "State that is carried also changes outputs of repeated calls; a reset of the states tells.",
}

BY_COMPANY = 1e-3  # Of the outputs' spread: sums in another order leave 1e-6.
STEADY = 1e-6  # Relative difference of repeated inference above which other things than company change outputs.


def judge(case: Case) -> Finding | None:
    """Present where a layer normalized by its batch although the model was called for inference."""
    layers = [x.path for x in case.layers if x.batch_at_inference]
    if not layers:
        return _of_company(case)
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


def _of_company(case: Case) -> Finding | None:
    """A sample's prediction changes with the samples beside it, though no layer known here looks at the batch."""
    restless = case.inference_drift > STEADY or case.carried_states
    if restless or not case.company_drift > BY_COMPANY:
        return None
    return Finding(
        0.93,
        "warning",
        "Called for inference, the model gives a sample another output when other samples stand beside it (by "
        f"{100 * case.company_drift:.2g} % of the outputs' spread), although no batch normalization that is known here "
        "is at work on its batch. Somewhere a mean or a variance over the batch is computed by hand, or a layer's "
        "training flag is fixed to True. A single sample gets nonsense. Use stored statistics at inference: a "
        "`BatchNormalization` layer keeps them, and takes the training flag.",
        [],
        [Evidence(name="difference_by_company", value=case.company_drift, reference=BY_COMPANY, unit="output spread"),
         *loss_evidence(case)],
        1.0,
    )  # fmt: skip
