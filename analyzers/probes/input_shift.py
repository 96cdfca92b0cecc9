"""Could the sample have been like the training data before something was done to each of its channels? Tried.

What one factor and one offset do not explain, one factor and one offset for each channel (or column), with one exponent
for pictures, may: another sensor, another light, units of single columns. The correction that makes the layers that see
the input agree with what they stored is searched on the model, by passes that end behind them. Statistics that belong
to other weights cannot be reached so: many channels of a layer hang on few of the input. And what is found there is
tested where it was not fitted: with the input so corrected, the layers behind must find in the inference phase what
they stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize

from analyzers.batches.lazy import Change, Samples, changed, least_and_most
from analyzers.case import LayerCase, ShiftTrial
from analyzers.observation import Observer, Pass
from analyzers.probes.responses import capped_divergence
from analyzers.statistics import Array, Moments
from analyzers.switchboard import Setting

SAMPLES = 128  # Their statistics lie within a tenth of a standard deviation of the batch's: enough to tell a shift.
MOST_CHANNELS = 24  # Each costs two passes a step; tables with more columns than this are left alone.
PICTURE_CHANNELS = 4  # Pictures have gray, colours, or colours and opacity; nobody reads more numbers either.
MOST_STEPS = 12  # Gauss and Newton's method is there in fewer where the correction is of the right kind.
STEP = 0.02  # Of a log gain, or an offset in units of the input: far above the rounding of float32.
SILENT = 1e-6  # Variance of a channel that says nothing.
FAR = 3.0  # Standard deviations from which on a channel pulls less than in proportion: clipped values stay outliers.


def trial(observer: Observer, layers: Sequence[LayerCase], inference: Pass) -> ShiftTrial | None:
    """Try the best correction of each channel; `layers` are those that use batch statistics.

    None where there is no measured quantity, where no layer sees the input, or none sees what others made of it.
    """
    first = [x for x in layers if x.at_input]
    deep = [x for x in layers if not x.at_input]
    family = _family(observer)
    if not first or not deep or family is None or observer.subject.fixed_batch:
        return None
    search = _Search(observer, first, family)
    found = optimize.least_squares(
        search.residuals, family.start, search.slopes, loss="soft_l1", f_scale=FAR, max_nfev=MOST_STEPS
    )
    with observer.feeding(family.applied(observer.batch.x, found.x)):
        corrected = observer.run(Setting(record=True))
    return ShiftTrial(
        parameters=len(found.x),
        statistics=2 * sum(x.channels for x in first),
        kl_before=capped_divergence(first, inference) or 0.0,
        kl_after=capped_divergence(first, corrected) or 0.0,
        deep_kl_before=capped_divergence(deep, inference) or 0.0,
        deep_kl_after=capped_divergence(deep, corrected) or 0.0,
        correction=family.words(found.x),
    )


@dataclass(frozen=True)
class _Family:
    """Corrections u^g * exp(a) + b with u = x / scale, by channel of the last axis; g is 1 but for pictures as sensors
    give them, which hold nothing negative.

    Parameters: a and b of all channels of all inputs, then log g for each input that is a picture.
    """

    channels: list[int]
    scales: list[float]
    pictures: list[bool]

    @property
    def start(self) -> Array:
        return np.zeros(2 * sum(self.channels) + sum(self.pictures))

    def applied(self, inputs: Sequence[Samples], point: Array) -> list[Samples]:
        """The inputs corrected, in their own types."""
        made: list[Samples] = []
        at, exponents = 0, iter(point[2 * sum(self.channels) :])
        for x, count, scale, picture in zip(inputs, self.channels, self.scales, self.pictures, strict=True):
            gain, offset = np.exp(point[at : at + count]), point[at + count : at + 2 * count]
            power = float(np.exp(next(exponents))) if picture else None
            made.append(changed(x, _correcting(x.dtype, scale, power, gain, offset)))
            at += 2 * count
        return made

    def words(self, point: Array) -> str:
        """The correction of the first input as code, three digits a number; in words where it takes many."""
        count, scale = self.channels[0], self.scales[0]
        if count > PICTURE_CHANNELS:
            return f"each of the {count} columns in another unit"
        gain, offset = np.exp(point[:count]), scale * point[count : 2 * count]
        if not self.pictures[0]:
            return f"x * {_listed(gain)} + {_listed(offset)}"
        power = float(np.exp(point[2 * sum(self.channels)]))
        return f"(x / {scale:.3g}) ** {power:.3g} * {_listed(scale * gain)} + {_listed(offset)}"


def _correcting(dtype: np.dtype[Any], scale: float, power: float | None, gain: Array, offset: Array) -> Change:
    def corrected(rows: Array) -> Array:
        u = rows.astype(np.float64) / scale
        if power is not None:
            u = u**power
        return np.asarray(((u * gain + offset) * scale).astype(dtype))

    return corrected


def _listed(values: Array) -> str:
    return f"{values[0]:.3g}" if len(values) == 1 else f"[{', '.join(f'{v:.3g}' for v in values)}]"


def _family(observer: Observer) -> _Family | None:
    inputs = observer.batch.x
    channels = [x.shape[-1] for x in inputs if x.ndim > 1]
    if len(channels) < len(inputs) or sum(channels) > MOST_CHANNELS or any(x.dtype.kind != "f" for x in inputs):
        return None
    reach = [least_and_most(x) for x in inputs]
    scales = [max(abs(float(low)), abs(float(high))) or 1.0 for low, high in reach]
    pictures = [
        x.ndim == 4 and x.shape[-1] <= PICTURE_CHANNELS and float(low) >= 0.0
        for x, (low, _) in zip(inputs, reach, strict=True)
    ]
    return _Family(channels, scales, pictures) if all(map(np.isfinite, scales)) else None


@dataclass(frozen=True)
class _Search:
    """How far the layers that see the input are from what they stored, for each correction."""

    observer: Observer
    first: list[LayerCase]
    family: _Family

    def residuals(self, point: Array) -> Array:
        """Differences of means in standard deviations and of log variances, (2 * channels,): KL is half their squares,
        to second order.
        """
        rows = np.arange(min(self.observer.batch.samples, max(SAMPLES, self.observer.batch_size)))
        with self.observer.feeding(self.family.applied(self.observer.batch.x, point)):
            seen = self.observer.glimpse(rows, [x.path for x in self.first])
        return np.concatenate([_off(seen[x.path], x.stored) for x in self.first])

    def slopes(self, point: Array) -> Array:
        """Their derivatives by each parameter, (2 * channels, parameters), by differences."""
        here = self.residuals(point)
        steps = STEP * np.eye(len(point))
        return np.stack([(self.residuals(point + s) - here) / STEP for s in steps], axis=1)


def _off(seen: Moments, stored: Moments) -> Array:
    usable = np.isfinite(stored.mean) & np.isfinite(stored.variance) & (stored.variance > SILENT)
    variance = np.where(usable, stored.variance, 1.0)
    mean = (seen.mean - stored.mean) / np.sqrt(variance)
    spread = np.log((seen.variance + SILENT) / variance) / np.sqrt(2.0)
    both: Array = np.where(np.concatenate([usable, usable]), np.concatenate([mean, spread]), 0.0)
    return both
