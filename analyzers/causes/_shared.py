"""What several causes ask of a case: how bad the gap is, and how to say numbers."""

from __future__ import annotations

import numpy as np

from analyzers.case import Case, ChannelTrial, LayerCase
from analyzers.report import Evidence, Severity

EVIDENCE = {
    "divergence": (
        "How far a layer's stored statistics lie from those of the batch (Kullback-Leibler, in nats, mean over "
        "channels). Held against the layer's own noise floor: what chance gives with this many samples."
    ),
    "inference_loss": "Loss in the inference phase. Held against the loss in the training phase, on the same samples.",
}
"""What the pieces of evidence mean that several causes give."""

SPREAD_EVENLY = 0.3  # Divergence behind the first layer, as a share of its own, that no shift of the input leaves.
FADED = 0.03  # What nonlinear layers leave of a large shift, as a share ...
LEFT_BEHIND = 0.02  # ... and of any, in nats beyond the noise floor.
UNDONE = 0.1  # Share of the divergence that a correction of single channels may leave: shifts leave up to 0.07 behind
# the first layers, statistics of other weights 0.2 and more.
MOST_LEFT = 0.1  # Nats that it may leave where it was fitted: shifts leave up to 0.03, a stored outlier 0.16.
OF_MEANS = 0.5  # Share of the first layer's divergence that lies in its means ...
OF_SPREADS = 0.05  # Share in the means: noise and blur of the input leave 0.01 and less, other weights from 0.17 ...
HALF = 0.5  # ... where the first layer is the one that is off most.
REMAINS = 0.3  # ... and of that behind which remains: statistics of other weights leave 0.4 to 0.8 then.
WELL_POSED = 1.5  # Statistics for each number that is fitted to them.
SOUND = 0.01  # Nats a layer that healthy samples of a hundred leave.
LOST = 0.5  # Share of the training phase's advantage over inference that shuffling must destroy.
RESTORED = 0.3  # Share of the loss that reversing the colour channels must take away ...
CERTAIN_Z = 4.0  # ... by so many standard errors of the paired difference.
ALL_BUT_GONE = 0.2  # Without decisions to count: confident wrong answers lose much of their loss by any confusion.
AS_BELIEVED = 0.8  # Of what the model then believes to get right it must get right: a broken one believes too much.
STRANGE = 0.05  # Nats a layer: what a healthy sample of a few dozen images does not reach.
WORKS = 0.9  # Share of right decisions of a net whose untrained layers are there by design, if anything works so well.
CRITICAL_RMS = 0.3  # Outputs moved by a third of their own spread: decisions change.
CRITICAL_LOSS = 0.5  # Half as much loss again is a model that its owner would not ship.


def severity_of_gap(case: Case) -> Severity:
    """How loud to be about a fault that opens the gap: info where the gap is not beyond noise."""
    gap = case.gap
    if not (gap.systematic_significant or gap.training_better or gap.undecided or case.non_finite_outputs):
        return "info"
    gain = gap.statistics_gain
    much_loss = gain is not None and gain.mean > CRITICAL_LOSS * max(abs(gain.after), 0.02)
    return "critical" if gap.systematic > CRITICAL_RMS or much_loss or case.non_finite_outputs else "warning"


def share(layers: list[LayerCase], case: Case) -> float:
    """The share of the batch-statistics gap that these layers open."""
    return sum(x.share_of_gap for x in layers) * case.gap.systematic


def worst_first(layers: list[LayerCase]) -> list[str]:
    """Paths, largest share of the gap first: divergence is not harm. Among equals the most divergent comes first."""
    return [x.path for x in sorted(layers, key=lambda x: (-round(x.share_of_gap, 3), -x.figures.kl))]


def divergence_evidence(layers: list[LayerCase], limit: int = 3) -> list[Evidence]:
    """The most divergent layers against their own noise floors."""
    worst = sorted(layers, key=lambda x: -x.figures.kl)[:limit]
    return [
        Evidence(name="divergence", value=x.figures.kl, unit="nats", reference=x.noise_floor, layer=x.path)
        for x in worst
    ]


def loss_evidence(case: Case) -> list[Evidence]:
    """Loss in both phases, where there are labels."""
    if case.inference.loss is None or case.training.loss is None:
        return []
    return [Evidence(name="inference_loss", value=case.inference.loss, reference=case.training.loss, unit="loss")]


def channels_explain(case: Case) -> bool:
    """Whether reversing the colour channels was tried and restored the inference phase.

    With labels, by the loss and the decisions; without, by what the normalizing layers see against what they stored.
    Where the training phase does better with the order as it was sent, that order cannot be wrong.
    """
    trial, as_sent = case.reversed_channels, case.training.data_loss
    if trial is None:
        return False
    if trial.loss is None:
        return _agrees_reversed(trial)
    if trial.loss.z < CERTAIN_Z or trial.loss.after > (1 - RESTORED) * trial.loss.before:
        return False
    if as_sent is not None and as_sent < trial.loss.after:
        return False
    if trial.accuracy is None or trial.confidence is None:
        return trial.loss.after < ALL_BUT_GONE * trial.loss.before
    return trial.accuracy_z > CERTAIN_Z - 1 and trial.accuracy > AS_BELIEVED * trial.confidence


def _agrees_reversed(trial: ChannelTrial) -> bool:
    before, after = trial.kl_before, trial.kl_after
    return before is not None and after is not None and before > STRANGE and after < ALL_BUT_GONE * before


def works(case: Case) -> bool:
    """Whether inference decides so well that layers at their start are there by design; False without decisions."""
    return bool(case.labels) and all(x.inference_accuracy > WORKS for x in case.labels)


def order_explains(case: Case) -> bool:
    """Whether shuffling the sample was tried and destroyed the training phase's advantage."""
    trial, gain = case.shuffled, case.gap.training_gain
    return trial is not None and gain is not None and trial.z > 3.0 and trial.mean > LOST * gain.mean


def shift_explains(case: Case) -> bool:
    """Whether single channels of the input were tried in another unit or light, and every layer found what it stored.

    What was fitted to the layers that see the input must hold for those behind, where nothing was fitted.
    """
    trial = case.input_shift
    return (
        trial is not None
        and trial.kl_after < min(UNDONE * trial.kl_before, MOST_LEFT)
        and trial.deep_kl_after < UNDONE * trial.deep_kl_before + SOUND
    )


def shift_refuted(case: Case) -> bool:
    """Whether means have moved, which other units or another light would do, and no such correction holds behind.

    Noise and blur leave means alone, and no correction of channels undoes them: of these the trial says nothing.
    """
    trial, first = case.input_shift, case.at_input[0]
    if trial is None or trial.statistics < WELL_POSED * trial.parameters:
        return False
    return _of_means(first) > OF_MEANS and trial.deep_kl_after > REMAINS * trial.deep_kl_before + SOUND


def _of_means(layer: LayerCase) -> float:
    """The share of a layer's divergence that lies in its means."""
    moved = np.square(layer.batch.mean - layer.stored.mean) / (layer.stored.variance + layer.epsilon)
    return 0.5 * float(np.mean(moved)) / max(layer.figures.kl, 1e-12)


def weights_disagree(case: Case) -> bool:
    """Whether layers behind the first disagree with what they stored, by more than a strange input leaves behind.

    In the training phase the first normalization takes most of a shift of the input away; statistics of other weights
    are off everywhere.
    """
    if shift_explains(case):
        return False
    if shift_refuted(case):
        return True
    first = case.at_input[0]
    if not first.significant:
        return True  # What arises behind the first layers alone came from no input.
    behind = max((x.figures.kl - x.noise_floor for x in case.behind if x.significant), default=0.0)
    if _of_means(first) < OF_SPREADS and behind < HALF * first.figures.kl:
        return False  # Noise and blur change spreads alone; other weights move means.
    net = first.figures.kl - first.noise_floor
    return behind > SPREAD_EVENLY * net or behind > max(LEFT_BEHIND, FADED * first.figures.kl)
