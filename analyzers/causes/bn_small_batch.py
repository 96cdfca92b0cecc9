"""Trained on batches so small that normalization by the batch is normalization by the sample.

At batch size 1 a batch normalization is an instance normalization: the network learns from each sample's own
statistics, and no moving average can stand for them.
"""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import divergence_evidence, loss_evidence, worst_first
from analyzers.report import Evidence

TITLE = "Trained on batches too small for batch statistics"
SOURCE = "Wu and He, Group Normalization (2018), section 1; keras-team/keras issue 8837"

SMALL = 4  # Samples: beyond this a batch's mean and variance are within half a standard deviation of the population's.
KEPT = 0.25  # Share of the training phase's advantage that other statistics leave unrecovered, at the least.
DOMINANT = 0.5  # Without labels: how far the outputs of such batches lie from those with pooled statistics.


def judge(case: Case) -> Finding | None:
    """Present where the training phase at a tiny batch size is good and no statistics bring inference there."""
    if case.batch_size > SMALL or case.samples <= 2 * case.batch_size or not case.normalizing:
        return None
    gap = case.gap
    lost = None
    if gap.training_gain is not None and gap.statistics_gain is not None:
        advantage = gap.training_gain.mean
        lost = gap.statistics_gain.after - gap.training_gain.after
        if gap.training_gain.z < 2.5 or lost < KEPT * advantage:
            return None
    elif gap.batch_noise < DOMINANT or gap.batch_noise < gap.systematic:
        return None
    return Finding(
        0.93 if lost is not None else 0.7,
        "critical",
        f"At batch size {case.batch_size} batch normalization normalizes nearly every sample by itself, and that is "
        "what the weights learned from. With pooled statistics, stored or recalibrated, the model does not reach its "
        "training phase: recalibration is partial relief at best. Replace batch normalization by group or instance "
        "normalization (at batch size 1 the exact equivalent), or train again with batches of 16 or more.",
        worst_first(case.normalizing),
        [
            *_left(lost),
            Evidence(name="difference_from_pooled_statistics", value=gap.batch_noise, reference=gap.noise_floor,
                     unit="output spread"),
            *divergence_evidence(case.normalizing),
            *loss_evidence(case),
        ],
        gap.total,
    )  # fmt: skip


def _left(lost: float | None) -> list[Evidence]:
    if lost is None:
        return []
    return [Evidence(name="loss_left_by_recalibration", value=lost, reference=0.0, unit="loss")]
