"""Batches sorted by class, or pure by domain: the class is read from the batch's own statistics.

Tried: the same samples in shuffled batches. Where the training phase is good in the order as sent and poor when
shuffled, it lives on the composition of the batches.
"""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._contest import confidence, contest
from analyzers.causes._shared import divergence_evidence, loss_evidence, order_explains, worst_first
from analyzers.report import Evidence

TITLE = "The training phase reads the composition of its batches"
SOURCE = "Ioffe, Batch Renormalization (2017), section 1: batches of dependent samples; aimerykong/OpenGAN issue 10"
WHAT = (
    "If batches were sorted by class, or each came from one domain or one source, the batch's own mean and variance "
    "say which class or domain it is, and the network learns to read that. At inference one pair of statistics serves "
    "all, and the hint is gone. Ioffe describes the same for batches of dependent samples; generators that yield one "
    "class at a time and adversarial training with separate batches of real and generated samples are typical."
)
LOOKS = (
    "The training phase is good on the sample in the order as sent and poor on the same samples shuffled. Or the "
    "stored statistics are the average over the batches as sent and not those of the samples together. Send the "
    "sample in the order of training, or this cannot be seen."
)
EVIDENCE = {
    "training_phase_loss_in_shuffled_batches": (
        "Loss of the training phase after shuffling the sample. Held against the loss in the order as sent."
    ),
    "divergence_explained_by_batches_as_sent": (
        "Share of the divergence that goes where stored statistics are held against the average of the batches as "
        "sent. Held against the share from which on that is believed."
    ),
}
LOOK_ALIKES = {
    "bn_small_batch": "At four samples a batch or fewer the size alone does it, whatever the composition.",
    "bn_statistics_stale": (
        "Recalibration mends stale statistics. Here it may help a little, and training on shuffled batches is the "
        "remedy."
    ),
}

EXPLAINED = 0.7  # Share of the divergence that goes where batches are held against themselves; by chance, next to none.
PROBABLE_Z = 2.5  # One-sided chance of 0.6 % that the training phase is no better: the statistics say the same then.


def judge(case: Case) -> Finding | None:
    """Present where shuffling the sample destroys the training phase's advantage, or where the stored statistics are
    those of the batches as sent and not those of the samples together.
    """
    if not case.normalizing or case.batch_size < 2:
        return None
    if not order_explains(case):
        return _of_statistics(case)
    trial = case.shuffled
    assert trial is not None
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


def _better_in_training(case: Case) -> bool:
    gain = case.gap.training_gain
    return case.gap.training_better or (gain is not None and gain.z > PROBABLE_Z and case.gap.systematic_significant)


def _of_statistics(case: Case) -> Finding | None:
    """Statistics averaged over pure batches have less variance than the samples together: each sees one domain."""
    explained = next((r.explained for r in contest(case) if r.code == "bn_batch_composition"), 0.0)
    steps = any(x.per_step for x in case.normalizing)  # each step of a sequence is a batch of its own
    if explained < EXPLAINED or steps or not _better_in_training(case):
        return None
    layers = [x for x in case.normalizing if x.significant]
    return Finding(
        confidence(case, "bn_batch_composition", most=0.92),
        "critical",
        f"What the layers stored is the average over the batches in the order as sent ({100 * explained:.0f} % of the "
        "divergence from all samples together goes with that): batches that are alike within and differ from each "
        "other, pure by domain or sorted by class, as they were in training. Each was normalized by its own "
        "statistics then; at inference one pair must serve all, and recalibration does not change that. Train again "
        "with shuffled batches (`shuffle=True`, or `Dataset.shuffle` before `batch`).",
        worst_first(layers),
        [
            Evidence(name="divergence_explained_by_batches_as_sent", value=explained, reference=EXPLAINED),
            *divergence_evidence(layers),
            *loss_evidence(case),
        ],
        case.gap.total * 1.01,
    )
