"""Both phases agree within noise: what was observed has another reason, which the file and the sample cannot show."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import loss_evidence
from analyzers.report import Evidence

TITLE = "The phases agree: look elsewhere"
SOURCE = "Half of all public reports of this symptom are no phase problem"


def judge(case: Case) -> Finding | None:
    """Present where no part of the gap is beyond noise, and the sample is large enough to say so."""
    if case.gap.significant or case.gap.undecided or case.non_finite_outputs:
        return None
    return Finding(
        0.9,
        "info",
        "On this sample the training and the inference phase agree within what chance gives, so no phase-dependent "
        "layer is to blame. Check next: are the figures you compare from the same data (training against validation "
        "split)? Is the printed training figure a running average over the epoch, while weights still improved? Do "
        "labels and preprocessing match those of training? Does the gap show on a sample of the data where you saw "
        "it?",
        [],
        [
            Evidence(name="systematic_difference", value=case.gap.systematic, reference=case.gap.noise_floor,
                     unit="output spread"),
            *loss_evidence(case),
        ],
    )  # fmt: skip
