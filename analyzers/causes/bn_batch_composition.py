"""Batches sorted by class, or pure by domain: the class is read from the batch's own statistics.

Tried: the same samples in shuffled batches. Where the training phase is good in the order as sent and poor when
shuffled, it lives on the composition of the batches.
"""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import loss_evidence, order_explains, worst_first
from analyzers.report import Evidence

TITLE = "The training phase reads the composition of its batches"
SOURCE = "Ioffe, Batch Renormalization (2017), section 1: batches of dependent samples; aimerykong/OpenGAN issue 10"


def judge(case: Case) -> Finding | None:
    """Present where shuffling the sample destroys the training phase's advantage."""
    trial = case.shuffled
    if trial is None or not case.normalizing or not order_explains(case):
        return None
    return Finding(
        0.95,
        "critical",
        f"In the order as sent the training phase has loss {trial.after:.3g}; with the same samples in shuffled "
        f"batches {trial.before:.3g}. It reads from the batch statistics which samples came together, so batches were "
        "sorted by class or pure by domain in training. At inference nothing of that is there. Recalibration does "
        "not help. Train again with shuffled batches (`shuffle=True`, or `Dataset.shuffle` before `batch`).",
        worst_first(case.normalizing),
        [
            Evidence(
                name="training_phase_loss_in_shuffled_batches", value=trial.before, reference=trial.after, unit="loss"
            ),
            *loss_evidence(case),
        ],
        case.gap.total * 1.01,
    )
