"""How far the statistics that inference uses lie from those that training uses, read from moving statistics alone.

One training step moves them by v' = m v + (1 - m) b, so two readings around it tell the statistics b of its batch. No
data are needed, no pass is run, nothing is changed. All channels of all layers stand in one flat vector.

Source: the update rule of Ioffe and Szegedy, Batch Normalization (2015), section 3.1, solved for b.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """All moving statistics at one moment, and how many training steps had been made."""

    steps: int
    mean: Vector
    variance: Vector


@dataclass(frozen=True)
class Sums:
    """What several steps told, added up; vectors over all channels. `steps` is how many had been made before each."""

    count: int
    steps: float
    shift: Vector
    shift_squared: Vector
    batch_variance: Vector
    batch_variance_squared: Vector
    stored_variance: Vector

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.count + other.count,
            self.steps + other.steps,
            self.shift + other.shift,
            self.shift_squared + other.shift_squared,
            self.batch_variance + other.batch_variance,
            self.batch_variance_squared + other.batch_variance_squared,
            self.stored_variance + other.stored_variance,
        )


@dataclass(frozen=True)
class Channels:
    """What is known of all channels: momentum over a whole step, epsilon, and where each layer's begin and end."""

    momentum: Vector
    epsilon: Vector
    bounds: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class LayerDrift:
    """One layer. `gap` and `batch_noise` are in standard deviations of its activations.

    `gap` is the root mean square of what inference does differently from training, beyond what chance does;
    `batch_noise` is how far one batch's mean lies from the mean of them all.
    """

    gap: float
    floor: float
    significant: bool
    batch_noise: float


SIGNIFICANT_RATIO = 4.0
"""Square of how often the root mean square must exceed what chance leaves: twice. Noise of channels of one layer is
correlated, so their mean varies more than its number of channels suggests."""


def told_by(before: Reading, after: Reading, channels: Channels) -> Sums:
    """The batch statistics of the step between two readings; of several steps, their weighted mean."""
    kept = channels.momentum ** (after.steps - before.steps)
    gained = np.maximum(1.0 - kept, np.finfo(np.float64).tiny)
    shift = (after.mean - before.mean) / gained
    variance = np.maximum(before.variance + (after.variance - before.variance) / gained, 0.0)
    return Sums(1, before.steps, shift, shift**2, variance, variance**2, before.variance)


def drifts(total: Sums, channels: Channels) -> list[LayerDrift]:
    """What two steps or more, which are needed to know chance by, tell about each layer."""
    measured = _measured(total, channels)
    return [_layer(*(vector[start:end] for vector in measured)) for start, end in channels.bounds]


def in_sum(told: Iterable[Sums]) -> Sums | None:
    """All of it added up; None of nothing."""
    total: Sums | None = None
    for part in told:
        total = part if total is None else total + part
    return total


def _measured(total: Sums, channels: Channels) -> tuple[Vector, Vector, Vector]:
    """Per channel: squared difference of the phases, what chance adds to it, and the relative noise of batch means."""
    n = total.count
    shift, batch, stored = total.shift / n, total.batch_variance / n, total.stored_variance / n
    noise_of_mean = np.maximum(total.shift_squared / n - shift**2, 0.0) * n / (n - 1)
    noise_of_variance = np.maximum(total.batch_variance_squared / n - batch**2, 0.0) * n / (n - 1)
    # A mean of n batches varies by 1/n; the stored average itself by (1 - m) / (1 + m) where it has converged.
    chance = 1.0 / n + (1.0 - channels.momentum) / (1.0 + channels.momentum)
    inside, outside = batch + channels.epsilon, np.maximum(stored, 0.0) + channels.epsilon
    spread = batch / inside  # a channel that is constant differs by its mean only
    squared = shift**2 / outside + spread * (np.sqrt(inside / outside) - 1.0) ** 2
    floor = chance * (noise_of_mean / outside + spread * noise_of_variance / (4.0 * inside * outside))
    return squared, floor, noise_of_mean / inside


def _layer(squared: Vector, floor: Vector, noise: Vector) -> LayerDrift:
    raw, chance = float(np.mean(squared)), float(np.mean(floor))
    return LayerDrift(
        gap=float(np.sqrt(max(raw - chance, 0.0))),
        floor=float(np.sqrt(chance)),
        significant=bool(raw > SIGNIFICANT_RATIO * chance),
        batch_noise=float(np.sqrt(np.median(noise))),
    )


def flat(arrays: Iterable[Any]) -> Vector:
    """Arrays of channels, one after another."""
    return np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays])
