"""Trained on batches so small that normalization by the batch is normalization by the sample.

At batch size 1 a batch normalization is an instance normalization: the network learns from each sample's own
statistics, and no moving average can stand for them.
"""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._contest import contest
from analyzers.causes._shared import divergence_evidence, loss_evidence, severity_of_gap, worst_first
from analyzers.report import Evidence, Severity

TITLE = "Trained on batches too small for batch statistics"
SOURCE = "Wu and He, Group Normalization (2018), section 1; keras-team/keras issue 8837"
WHAT = (
    "The mean and variance of one to four samples are mostly those samples' own. Trained so, the network learns to be "
    "fed features that each sample normalized for itself: at batch size 1 batch normalization of maps is instance "
    "normalization. No single pair of stored statistics can give that at inference, however well it was averaged. And "
    "the average of the variances of tiny batches lies below the variance of all samples together (half of it at "
    "batch size 2 in dense layers), so even the stored numbers are not the population's."
)
LOOKS = (
    "With the small `batch_size` given, the training phase is good and inference is not; recalibrated statistics "
    "leave a good part of the difference. Layers look converged when they are held against single batches instead of "
    "against all samples."
)
EVIDENCE = {
    "loss_left_by_recalibration": (
        "Loss with statistics taken anew, above that of the training phase. Held against 0: what no statistics can "
        "give back."
    ),
    "difference_from_pooled_statistics": (
        "How far the outputs of such batches lie from those with pooled statistics. Held against what chance gives."
    ),
    "divergence_explained_by_single_batches": (
        "Share of the divergence that goes where stored statistics are held against the average of single batches. "
        "Held against the share from which on that is believed."
    ),
}
LOOK_ALIKES = {
    "bn_statistics_unconverged": "A lag is gone after recalibration; this is not.",
    "bn_batch_composition": (
        "The same mechanism in batches of ordinary size that are pure by class or domain; shuffling the sample tells."
    ),
    "bn_statistics_stale": (
        "Statistics of other weights are mended by taking them anew; here that is partial relief at best."
    ),
}

SMALL = 4  # Samples: beyond this a batch's mean and variance are within half a standard deviation of the population's.
KEPT = 0.25  # Share of the training phase's advantage that other statistics leave unrecovered, at the least.
PROBABLE_Z = 2.5  # One-sided chance of 0.6 % that the training phase is no better.
EXPLAINED = 0.5  # Share of the divergence that goes where stored statistics are held against those of single batches.
OF_STATISTICS = 0.9  # How sure that makes it: the relation has no free number.
DOMINANT = 0.5  # Without labels: how far the outputs of such batches lie from those with pooled statistics.


def judge(case: Case) -> Finding | None:
    """Present where the training phase at a tiny batch size is good and no statistics bring inference there, or where
    the stored statistics are those of such batches and not those of the samples.
    """
    if case.batch_size > SMALL or case.samples <= 2 * case.batch_size or not case.normalizing:
        return None
    by_outputs = _by_outputs(case)
    explained = next((r.explained for r in contest(case) if r.code == "bn_small_batch"), 0.0)
    by_statistics = explained > EXPLAINED and case.batch_size > 1 and any(x.significant for x in case.normalizing)
    if by_outputs is None and not by_statistics:
        return None
    severity: Severity = "critical" if by_outputs is not None else severity_of_gap(case)
    return Finding(
        max(by_outputs or 0.0, OF_STATISTICS if by_statistics else 0.0),
        severity,
        f"At batch size {case.batch_size} batch normalization normalizes nearly every sample by itself, and that is "
        "what the weights learned from. With pooled statistics, stored or recalibrated, the model does not reach its "
        "training phase: recalibration is partial relief at best. Replace batch normalization by group or instance "
        "normalization (at batch size 1 the exact equivalent), or train again with batches of 16 or more.",
        worst_first(case.normalizing),
        _evidence(case, explained),
        case.gap.total,
    )


def _by_outputs(case: Case) -> float | None:
    """How sure the outputs make it, or None where they do not speak for it."""
    gap = case.gap
    lost = _lost(case)
    if lost is not None and gap.training_gain is not None:
        return None if gap.training_gain.z < PROBABLE_Z or lost < KEPT * gap.training_gain.mean else 0.93
    return None if gap.batch_noise < DOMINANT or gap.batch_noise < gap.systematic else 0.7


def _lost(case: Case) -> float | None:
    """The loss that recalibrated statistics leave above that of the training phase; None without labels."""
    gap = case.gap
    if gap.training_gain is None or gap.statistics_gain is None:
        return None
    return gap.statistics_gain.after - gap.training_gain.after


def _evidence(case: Case, explained: float) -> list[Evidence]:
    gap, lost = case.gap, _lost(case)
    left = [Evidence(name="loss_left_by_recalibration", value=lost, reference=0.0, unit="loss")]
    return [
        *(left if lost is not None else []),
        Evidence(
            name="difference_from_pooled_statistics", value=gap.batch_noise, reference=gap.noise_floor,
            unit="output spread",
        ),
        Evidence(name="divergence_explained_by_single_batches", value=explained, reference=EXPLAINED),
        *divergence_evidence(case.normalizing),
        *loss_evidence(case),
    ]  # fmt: skip
