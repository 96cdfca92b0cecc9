"""What layers would see if the input were factor * x + offset: in closed form, or by trying.

A layer that sees the input through linear layers only responds with moments that follow exactly from four passes (x,
x + 1, all zeros, all ones), padding included. Where an activation stands before the first normalization (a convolution
with `activation="relu"`, say) nothing follows, and each correction is looked at on the model, as far as these layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from analyzers.batches.lazy import Change, changed
from analyzers.case import LayerCase
from analyzers.observation import Observer, Pass
from analyzers.outputs import Rows
from analyzers.statistics import Moments, divergence, mixed

LINEARITY = 1e-3  # Response to a doubled input against twice the response: float32 convolutions keep within 1e-5.
AS_PREDICTED = 0.02  # Standard deviations: rounding of float32 where offsets are large stays below, a bend does not.
MOST_NATS = 10.0  # A layer that is off by more says no more: one broken layer must not drown all others.
SILENT = 1e-12  # Variances below this are those of dead channels.


class Responses(Protocol):
    """Moments of each layer's input, by path."""

    @property
    def plain(self) -> dict[str, Moments]:
        """For the input as it is."""
        ...

    def at(self, path: str, factor: float, offset: float) -> Moments:
        """For factor * x + offset."""
        ...


@dataclass(frozen=True)
class Affine:
    """Moments for the inputs x, x + 1, zeros and ones, from which all others follow."""

    plain: dict[str, Moments]
    shifted: dict[str, Moments]
    zero: dict[str, Moments]
    one: dict[str, Moments]

    def at(self, path: str, factor: float, offset: float) -> Moments:
        """A quadratic form, exact for an affine response."""
        x, both, dark, light = self.plain[path], self.shifted[path], self.zero[path], self.one[path]
        mean = dark.mean + factor * (x.mean - dark.mean) + offset * (light.mean - dark.mean)
        cross = both.variance - x.variance - light.variance
        variance = factor**2 * x.variance + offset**2 * light.variance + factor * offset * cross
        return Moments(mean, np.maximum(variance, 0.0))


@dataclass
class Glimpsed:
    """Each correction tried on the model; the last one is kept, since all layers are asked for it in turn."""

    observer: Observer
    rows: Rows
    plain: dict[str, Moments]
    last: tuple[tuple[float, float], dict[str, Moments]] | None = field(default=None)

    def at(self, path: str, factor: float, offset: float) -> Moments:
        """By a pass that ends behind these layers."""
        if self.last is None or self.last[0] != (factor, offset):
            self.last = (factor, offset), glimpse(self.observer, factor, offset, self.rows, list(self.plain))
        return self.last[1][path]


def responses(
    observer: Observer, rows: Rows, layers: Sequence[LayerCase], plain: dict[str, Moments]
) -> tuple[list[LayerCase], Responses] | None:
    """The layers of `layers` that see the input, with their responses; `plain` as it is. None where no layer does.

    Those with a linear response where there are any.
    """
    ahead = [x.path for x in layers]
    zero, double = glimpse(observer, 0, 0, rows, ahead), glimpse(observer, 2, 0, rows, ahead)
    first = [x for x in layers if _linear(plain[x.path], zero[x.path], double[x.path])]
    if not first:
        bent = [x for x in layers if x.at_input]
        return (bent, Glimpsed(observer, rows, {x.path: plain[x.path] for x in bent})) if bent else None
    names = [x.path for x in first]
    shifted, one = glimpse(observer, 1, 1, rows, names), glimpse(observer, 0, 1, rows, names)
    return first, Affine(plain, shifted, zero, one)


def straight(
    observer: Observer, response: Responses, factor: float, offset: float, rows: Rows, names: list[str]
) -> list[str]:
    """The layers that respond to the correction as predicted: a bent response looks straight to a tiny input."""
    if not isinstance(response, Affine):
        return names
    seen = glimpse(observer, factor, offset, rows, names)
    return [n for n in names if _near(response.at(n, factor, offset), seen[n])]


def capped_divergence(layers: Sequence[LayerCase], run: Pass) -> float | None:
    """Mean divergence, over the layers that a pass reached, from what they stored; None where it reached none."""
    seen = [x for x in layers if x.path in run.seen]
    each = [min(divergence(mixed(run.seen[x.path]), x.stored, x.epsilon).kl, MOST_NATS) for x in seen]
    return float(np.mean(each)) if each else None


def scaled(observer: Observer, factor: float, offset: float) -> AbstractContextManager[None]:
    """The observer's batch with factor * x + offset in place of x."""
    return observer.feeding([changed(x, _scaling(x.dtype, factor, offset)) for x in observer.batch.x])


def _scaling(dtype: np.dtype[Any], factor: float, offset: float) -> Change:
    return lambda rows: np.asarray((rows * factor + offset).astype(dtype))


def glimpse(observer: Observer, factor: float, offset: float, rows: Rows, paths: list[str]) -> dict[str, Moments]:
    """Moments that the layers see for factor * x + offset."""
    with scaled(observer, factor, offset):
        return observer.glimpse(rows, paths)


def _near(predicted: Moments, seen: Moments) -> bool:
    scale = np.sqrt(seen.variance) + SILENT
    mean = np.abs(predicted.mean - seen.mean) / scale
    spread = np.abs(np.sqrt(predicted.variance) - np.sqrt(seen.variance)) / scale
    return max(float(np.median(mean)), float(np.median(spread))) < AS_PREDICTED


def _linear(plain: Moments, zero: Moments, double: Moments) -> bool:
    """Whether a layer's input is an affine function of the model's: doubling x doubles the response."""
    with np.errstate(all="ignore"):
        mean = np.abs((double.mean - zero.mean) - 2 * (plain.mean - zero.mean))
        scale = np.abs(plain.mean - zero.mean) + np.sqrt(plain.variance) + SILENT
        spread = np.abs(np.sqrt(double.variance) - 2 * np.sqrt(plain.variance))
        straight = max(float(np.max(mean / scale)), float(np.max(spread / scale)))
    return straight < LINEARITY and float(plain.variance.max()) > 0
