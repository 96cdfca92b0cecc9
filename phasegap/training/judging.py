"""When a training's phases have drifted apart so far that somebody must be told, and in which words.

It never cries wolf: statistics that are still on their way from their start to the data are no fault where the training
will take them there, and no difference is one where inference does as well on validation data as training does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from phasegap.training.drift import LayerDrift

GAP_SD = 0.5
"""Half a standard deviation. In small trainings 0.4 in the worst layer took an accuracy from 1.00 to 0.96, 0.2
nothing."""
STALE_GAP_SD = 1.0
"""Where no lag explains it, twice as much: a gap of 0.9 that was on its way out had done no harm."""
NOISE_SD = 0.5
"""One batch's mean that far from the mean of all batches: what a batch of five independent samples has."""
CONVERGED = 0.01
"""A start of which 1 % is left has no influence any more: 459 updates at momentum 0.99."""
STILL_THERE = 0.05
"""A start of which that much is left may explain a gap; of less, only a very far one could."""
IN_A_ROW = 3
"""So many checked epochs must agree before something is said while the training goes on."""
FALLING = 0.7
"""A gap that falls by more than that within these epochs is on its way out."""


@dataclass(frozen=True)
class Layer:
    """What is known of a layer beforehand. `fresh`: it began this training with mean 0 and variance 1."""

    name: str
    momentum: float
    fresh: bool


@dataclass(frozen=True)
class Moment:
    """The training at the end of an epoch. `looked_at` is after how many updates, on average, the statistics were read;
    `val_loss` is None without validation data.
    """

    epoch: int
    updates: int
    looked_at: float
    planned_updates: int | None
    is_last: bool
    loss: float | None = None
    val_loss: float | None = None

    @property
    def inference_does_as_well(self) -> bool:
        return self.loss is not None and self.val_loss is not None and self.val_loss <= self.loss


@dataclass(frozen=True)
class Advice:
    """What is wrong, and the words for it."""

    kind: str
    text: str


@dataclass
class Judge:
    """Remembers a training's checked epochs; says each kind of thing once, and at the end what still holds."""

    layers: Sequence[Layer]
    _gaps: list[float] = field(default_factory=list)
    _noises: list[float] = field(default_factory=list)
    _said: set[str] = field(default_factory=set)

    def judge(self, drifts: Sequence[LayerDrift], moment: Moment) -> Advice | None:
        """What is to be said after this epoch, if anything."""
        broken = [layer.name for layer, drift in zip(self.layers, drifts, strict=True) if not math.isfinite(drift.gap)]
        if broken:
            return self._once("not_finite", _not_finite(broken))
        gaps = [drift.gap if drift.significant else 0.0 for drift in drifts]
        noises = [drift.batch_noise for drift in drifts]
        self._gaps.append(max(gaps))
        self._noises.append(max(noises))
        if moment.inference_does_as_well:
            return None
        return self._gap(gaps, moment) or self._noise(noises, moment)

    def _gap(self, gaps: Sequence[float], moment: Moment) -> Advice | None:
        far = [i for i, gap in enumerate(gaps) if gap >= GAP_SD]
        if not far:
            return None
        worst = max(far, key=lambda i: gaps[i])
        layer, names = self.layers[worst], _listed([self.layers[i].name for i in sorted(far, key=lambda i: -gaps[i])])
        left = layer.momentum**moment.updates if layer.fresh else 0.0
        if left >= STILL_THERE:
            end = moment.updates if moment.is_last else moment.planned_updates
            # What the start does shrinks from update to update, from those that were looked at to the last one, too.
            gap = gaps[worst] * layer.momentum ** (end - moment.looked_at) if end is not None else 0.0
            if end is None or gap < GAP_SD:
                return None
            text = _too_few(names, gap, layer.momentum, moment, end)
            return self._once("too_few_updates", text, again=moment.is_last)
        row = self._gaps[-IN_A_ROW:]
        lasting = len(row) == IN_A_ROW and row[-1] >= FALLING * row[0]
        if min(row if lasting else row[-1:]) < STALE_GAP_SD or not (lasting or moment.is_last):
            return None
        return self._once("not_following", _not_following(names, gaps[worst], layer.momentum), again=moment.is_last)

    def _noise(self, noises: Sequence[float], moment: Moment) -> Advice | None:
        row = self._noises[-IN_A_ROW:]
        if min(row) < NOISE_SD or not (len(row) == IN_A_ROW or moment.is_last):
            return None
        worst = max(range(len(noises)), key=lambda i: noises[i])
        return self._once("noisy_batches", _noisy(self.layers[worst].name, noises[worst]), again=moment.is_last)

    def _once(self, kind: str, text: str, *, again: bool = False) -> Advice | None:
        if kind in self._said and not again:
            return None
        self._said.add(kind)
        return Advice(kind, text)


def updates_needed(momentum: float) -> int:
    """Updates until 1 % of the start is left (0 < momentum < 1)."""
    return math.ceil(math.log(CONVERGED) / math.log(momentum))


def _too_few(names: str, gap: float, momentum: float, moment: Moment, end: int) -> str:
    left, needed = momentum**end, updates_needed(momentum)
    per_epoch = moment.updates / (moment.epoch + 1)
    when = f"has made {end}" if moment.is_last else f"ends after {end}"
    enough = f"{math.floor(100 * CONVERGED ** (1 / max(end, 1))) / 100:.2f}"
    return (
        f"Phase gap: {names}: inference sees activations up to {gap:.1f} standard deviations away from those of "
        f"training. At momentum {momentum:g} the moving statistics need {needed} updates to leave their start (mean 0, "
        f"variance 1), and this training {when}: {left:.0%} of the start is left then. Validation figures and "
        f"predictions say little about this model. Use BatchNormalization(momentum={enough}), or train for "
        f"{math.ceil(needed / max(per_epoch, 1e-9))} epochs of {per_epoch:.0f} steps, or recalibrate the statistics "
        "afterwards; a diagnosis by PhaseGap verifies that on held-out samples."
    )


def _not_following(names: str, gap: float, momentum: float) -> str:
    return (
        f"Phase gap: {names}: the moving statistics do not follow the weights; inference sees activations up to "
        f"{gap:.1f} standard deviations away from those of training. They average the last {1 / (1 - momentum):.0f} "
        "steps or so, and weights or data moved too far in that time. Let the learning rate fall towards the end, "
        "lower the momentum, or recalibrate the statistics afterwards; a diagnosis by PhaseGap verifies that on "
        "held-out samples."
    )


def _noisy(name: str, noise: float) -> str:
    return (
        f"Phase gap: `{name}`: one batch's mean lies {noise:.1f} standard deviations from the mean of all batches. "
        "Training normalizes by what inference does not have: the other samples of the same batch. Either the batches "
        "are too small for batch normalization (use more samples a batch, or GroupNormalization), or each holds one "
        "kind of sample (shuffle). Recalibrating does not help against this."
    )


def _not_finite(names: Sequence[str]) -> str:
    return (
        f"Phase gap: {_listed(names)}: the moving statistics hold values that are not finite. They stay so however "
        "long the training goes on, and every prediction is lost: begin again from a checkpoint before that, with a "
        "lower learning rate or clipped gradients, and look for NaN in the data."
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more layers"
