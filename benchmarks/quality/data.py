"""Worlds of data: images, tables, series, masks and pairs, each with classes, a side (0, 1) and a real number to learn.

A seed fixes a world (units, offsets, noise, where the classes lie); samples of one world are drawn from streams.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.quality.settings import Setting

Array = Any
"""A NumPy array."""

Inputs = Any
"""An array (samples, ...), or a dictionary of arrays for several inputs."""


@dataclass(frozen=True)
class Drawn:
    """Samples with everything that a head could learn of them; all arrays (samples, ...)."""

    x: Inputs
    label: Array
    real: Array
    mask: Array | None = None


def images(setting: Setting, n: int, rng: np.random.Generator, label: Array) -> Drawn:
    """Images size x size x 3 in 0 .. 1; the class is in place and colour of a bar, the real number in its strength."""
    world = setting.rng("world")
    size, k = int(world.choice([12, 14, 16])), setting.classes
    noise, base = world.uniform(0.08, 0.2), world.uniform(0.3, 0.5) + world.normal(0, 0.08, 3)
    strength = rng.uniform(0.25, 0.55, n)
    x = base + rng.normal(0, noise, (n, size, size, 3)) + rng.normal(0, 0.06, (n, 1, 1, 3))
    step = (size - 2) // k
    for i, c in enumerate(label):
        x[i, step * c + 1 : step * c + 1 + max(step, 2), 2:-2, c % 3] += strength[i]
    return Drawn(np.clip(x, 0, 1).astype("float32"), label, (strength - 0.4) / 0.09)


def tables(setting: Setting, n: int, rng: np.random.Generator, label: Array) -> Drawn:
    """Rows of correlated columns, each with a unit and offset of its own, tails heavier than normal."""
    world = setting.rng("world")
    columns = int(world.choice([8, 13, 20, 30]))
    mixing = np.eye(columns) + world.normal(0, 1, (columns, columns)) / np.sqrt(columns) / 2
    centers = world.normal(0, 3.2 / np.sqrt(columns), (setting.classes, columns))
    offset, unit = world.normal(0, 2, columns), world.lognormal(0, 0.7, columns)
    pull = world.normal(0, 1, (columns, 2)) / np.sqrt(columns)
    z = centers[label] + rng.standard_t(6, (n, columns)) @ mixing
    real = np.tanh(z @ pull[:, 0]) + 0.5 * (z @ pull[:, 1]) + rng.normal(0, 0.1, n)
    return Drawn(((z + offset) * unit).astype("float32"), label, real)


def series(setting: Setting, n: int, rng: np.random.Generator, label: Array) -> Drawn:
    """Series (steps, channels): the class is in the frequency, the real number in the amplitude."""
    world = setting.rng("world")
    steps, channels = int(world.choice([16, 24])), int(world.choice([3, 5]))
    offset, unit = world.normal(0, 1.5, channels), world.lognormal(0, 0.5, channels)
    weight = world.uniform(0.3, 1, channels)
    time, amplitude = np.arange(steps) / steps, rng.uniform(0.6, 1.6, n)
    angle = 2 * np.pi * ((1 + label)[:, None] * time + rng.uniform(0, 1, (n, 1)))
    wave = (amplitude[:, None] * np.sin(angle))[..., None] * weight
    x = (wave + rng.normal(0, 0.35, (n, steps, channels)) + offset) * unit
    return Drawn(x.astype("float32"), label, (amplitude - 1.1) / 0.3)


def scenes(setting: Setting, n: int, rng: np.random.Generator, label: Array) -> Drawn:
    """Images 16 x 16 x 3 with one bright box, and where it is: masks (samples, 16, 16, 1)."""
    world = setting.rng("world")
    base, lift = world.uniform(0.2, 0.4, 3), world.uniform(0.15, 0.35, 3)
    mask = np.zeros((n, 16, 16, 1))
    for i, (top, left, height, breadth) in enumerate(rng.integers([1, 1, 4, 4], [8, 8, 8, 8], (n, 4))):
        mask[i, top : top + height, left : left + breadth] = 1
    x = base + lift * mask + rng.normal(0, 0.1, (n, 16, 16, 3))
    return Drawn(np.clip(x, 0, 1).astype("float32"), label, mask.mean((1, 2, 3)), mask.astype("float32"))


def pairs(setting: Setting, n: int, rng: np.random.Generator, label: Array) -> Drawn:
    """An image and a row of facts: the class is in both."""
    picture, facts = images(setting, n, rng, label), tables(setting, n, rng, label)
    return Drawn({"picture": picture.x, "facts": facts.x}, label, picture.real)


KINDS: dict[str, Callable[[Setting, int, np.random.Generator, Array], Drawn]] = {
    "images": images,
    "tables": tables,
    "series": series,
    "scenes": scenes,
    "pairs": pairs,
}


def draw(kind: str, setting: Setting, n: int, purpose: str, imbalance: bool = False) -> tuple[Inputs, Array]:
    """Inputs and the labels that the head learns; purposes ("train", "batch", "holdout") never share a sample."""
    rng = setting.rng("samples", purpose, n)
    weights = np.ones(setting.classes)
    if imbalance:
        weights[0] = 6.0 * setting.classes
    label = rng.choice(setting.classes, n, p=weights / weights.sum()).astype("int32")
    drawn = KINDS[kind](setting, n, rng, label)
    return drawn.x, targets(setting, drawn)


def targets(setting: Setting, drawn: Drawn) -> Array:
    """What the head is asked for."""
    if setting.head == "onehot":
        return np.eye(setting.classes, dtype="float32")[drawn.label]
    if setting.head in ("sigmoid", "binlogit"):
        return (drawn.label % 2).astype("float32")[:, None]
    if setting.head == "real":
        return drawn.real.astype("float32")[:, None]
    if setting.head == "mask" and drawn.mask is not None:
        return drawn.mask
    return drawn.label


def each(x: Inputs, change: Callable[[Array], Array]) -> Inputs:
    """The change made to the array, or to every array of several inputs."""
    if isinstance(x, dict):
        return {name: change(a).astype("float32") for name, a in x.items()}
    return change(x).astype("float32")


def varied(x: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Every sample with a gain and an offset of its own, of relative size `size`."""
    n = count(x)
    gain, offset = rng.lognormal(0, size, n), rng.normal(0, size, n)

    def change(a: Array) -> Array:
        shape = (n,) + (1,) * (a.ndim - 1)
        return a * gain.reshape(shape) + 3 * a.std() * offset.reshape(shape)

    return each(x, change)


def two_domains(x: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """The first half of the samples moved one way, the second half the other, each channel by its own step."""
    half = count(x) // 2

    def change(a: Array) -> Array:
        step = size * a.std(tuple(range(a.ndim - 1))) * rng.choice([-1, 1], a.shape[-1])
        sign = np.where(np.arange(len(a)) < half, 1.0, -1.0).reshape((-1,) + (1,) * (a.ndim - 1))
        return a + sign * step

    return each(x, change)


def rows(x: Inputs, chosen: Any) -> Inputs:
    """Samples by index or slice."""
    return {name: a[chosen] for name, a in x.items()} if isinstance(x, dict) else x[chosen]


def count(x: Inputs) -> int:
    """Samples."""
    return len(next(iter(x.values()))) if isinstance(x, dict) else len(x)
