"""Batch normalization inside `TimeDistributed`: one update per step of the sequence, so the last step dominates.

In Keras 3 the wrapper calls the layer once for each step. Training normalizes every step by itself; the one set of
moving statistics is left where the last steps put it. Keras 2 folds time into the batch and has no such fault.
"""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import divergence_evidence, loss_evidence, severity_of_gap, share, worst_first
from analyzers.report import Evidence

TITLE = "Batch normalization is applied step by step, and its statistics are those of the last step"
SOURCE = "tensorflow/tensorflow issue 30109, keras-team/keras issue 16239"
WHAT = (
    "In Keras 3 `TimeDistributed(BatchNormalization())` calls the inner layer once for each step of the sequence. "
    "Training normalizes each step by that step's own batch statistics; the one pair of moving statistics is updated "
    "at every step, and the last steps of each sequence have the last word. At inference all steps share that pair. "
    "Keras 2 folds the steps into the batch and has no such fault."
)
LOOKS = (
    "A phase gap in a model with sequences: a layer under `TimeDistributed` with `calls` equal to the number of steps "
    "diverges, and what it stores is near the statistics of the last step."
)
EVIDENCE = {
    "divergence_of_last_step": (
        "Divergence of the stored statistics from those of the last step alone. Held against that from all steps "
        "together."
    ),
}
LOOK_ALIKES = {
    "bn_statistics_unconverged": "A lag lies between the start and the batch; this lies at the last step.",
    "bn_statistics_stale": "Taking statistics anew mends stale ones. Here no one pair can do what training did.",
}


def judge(case: Case) -> Finding | None:
    """Present where a layer called once per step diverges and opens a gap."""
    layers = [x for x in case.normalizing if x.per_step and x.calls > 1 and x.significant]
    if not layers or not (case.gap.systematic_significant or case.gap.training_better):
        return None
    last = [x for x in layers if x.last_step_kl is not None and x.last_step_kl < x.figures.kl]
    return Finding(
        0.95 if last else 0.75,
        severity_of_gap(case),
        "`TimeDistributed` calls the batch normalization inside once for each step of the sequence. Training "
        "normalizes each step by that step's own statistics; the single pair of moving statistics is updated at "
        "every step and ends near those of the last. At inference all steps share them. No one pair of statistics "
        "can do what training did, so recalibrating in place does not help: normalize the whole sequence at once "
        "instead.",
        worst_first(layers),
        [
            *(Evidence(name="divergence_of_last_step", value=x.last_step_kl, unit="nats", reference=x.figures.kl,
                       layer=x.path) for x in layers),
            *divergence_evidence(layers),
            *loss_evidence(case),
        ],
        max(share(layers, case), case.gap.systematic),
    )  # fmt: skip
