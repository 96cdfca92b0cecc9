"""Both phases agree within noise: what was observed has another reason, which the file and the sample cannot show."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import loss_evidence
from analyzers.report import Evidence

TITLE = "The phases agree: look elsewhere"
SOURCE = "Half of all public reports of this symptom are no phase problem"
BENIGN = True
WHAT = (
    "On this sample both phases give the same answers within what chance does. Half of the public reports of a model "
    "that predicts differently than it trained are of this kind. The usual reasons lie outside of the two files: "
    "training and validation data differ, the printed training figure is a running average over an epoch in which the "
    "weights still improved, labels or preprocessing differ between the two pipelines, another checkpoint was loaded."
)
LOOKS = (
    "The verdict `no_phase_gap`. The difference that other statistics would make lies below the noise floor, or is "
    "too small to matter. Other findings beside it, such as labels in another numbering, are faults outside of the "
    "phase."
)
EVIDENCE = {
    "systematic_difference": (
        "What the statistics of the whole sample would change in the inference phase, in spreads of the outputs. Held "
        "against the noise floor."
    ),
}
LOOK_ALIKES = {
    "numerical_noise": "Differences at the level of rounding are named for what they are.",
    "stochastic_layers_expected": "Where random layers open a visible difference, they are the answer.",
    "bn_batch_statistics_at_inference": "Phases that agree because inference uses the batch, too, are no good news.",
}


def judge(case: Case) -> Finding | None:
    """Present where no part of the gap is beyond noise, and the sample is large enough to say so."""
    if case.gap.significant or case.gap.undecided or case.non_finite_outputs:
        return None
    return Finding(
        0.9,
        "info",
        f"{_agreement(case)} So no phase-dependent layer is to blame for anything that you would notice. Check next: "
        "are the figures you compare from the same data (training against validation split)? Is the printed training "
        "figure a running average over the epoch, while weights still improved? Do labels and preprocessing match "
        "those of training? Does the gap show on a sample of the data where you saw it?",
        [],
        [
            Evidence(name="systematic_difference", value=case.gap.systematic, reference=case.gap.noise_floor,
                     unit="output spread"),
            *loss_evidence(case),
        ],
    )  # fmt: skip


def _agreement(case: Case) -> str:
    gap = case.gap
    drawn = gap.mechanisms.get("stochastic_layers", 0.0) + gap.mechanisms.get("augmentation", 0.0)
    by_design = drawn > 0.5 * gap.total > 0.0
    if gap.total == 0.0:
        return "On this sample the training and the inference phase give the same outputs."
    if by_design:
        return "What little the phases differ by comes from random layers that rest at inference, as intended."
    if gap.systematic > gap.noise_floor:
        return "The phases differ by more than chance gives on this sample, but too little to matter."
    return "On this sample the training and the inference phase agree within what chance gives."
