"""Samples of the kind that a model expects, drawn in code: pictures, faces, signals, sound, letters and bases.

Each has three classes (or as many as asked for) that differ in what a network can learn, and scatter around that as
measured data do: neighbours are alike, and samples differ in their level.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CLASSES = 3
LEVEL_SD = 0.3  # Of a whole sample against the others, in standard deviations of its values.


def smooth(rng: np.random.Generator, shape: tuple[int, ...], over: tuple[int, ...], power: float = 1.0) -> Array:
    """Noise of unit variance whose spectrum falls as 1 / frequency^power along the axes `over`, as in nature."""
    noise = np.fft.fftn(rng.normal(size=shape), axes=over)
    squares = [_along(np.fft.fftfreq(shape[a]) ** 2, a, len(shape)) for a in over]
    frequency = np.sqrt(np.maximum(sum(squares), 1.0 / max(shape[a] for a in over) ** 2))
    drawn = np.fft.ifftn(noise / frequency**power, axes=over).real
    return np.asarray(drawn / (drawn.std() or 1.0))


def _along(values: Array, axis: int, rank: int) -> Array:
    return values.reshape([-1 if a == axis else 1 for a in range(rank)])


def arrays(count: int, shape: tuple[int, ...], seed: int, classes: int = CLASSES) -> tuple[Array, Array]:
    """Measurements (count, *shape) of mean 0 and spread near 1, channels last, and their classes (count,)."""
    rng, templates = np.random.default_rng(seed), np.random.default_rng(0)
    over = tuple(range(1, len(shape)))
    kinds = templates.normal(size=(classes, *shape[-1:])) if over else templates.normal(size=(classes, *shape))
    y = rng.integers(0, classes, count)
    x = smooth(rng, (count, *shape), over) if over else rng.normal(size=(count, *shape))
    level = LEVEL_SD * rng.normal(size=(count, *(1 for _ in shape)))
    offset = kinds[y].reshape(count, *(1 for _ in over), shape[-1])
    return (x + level + offset).astype("float32"), y


def pictures(count: int, side: int, seed: int, channels: int = 3, classes: int = CLASSES) -> tuple[Array, Array]:
    """Pictures (count, side, side, channels) with values from 0 to 255, and their classes, which tint them."""
    x, y = arrays(count, (side, side, channels), seed, classes)
    return np.clip(128.0 + 40.0 * x, 0.0, 255.0).astype("float32"), y


def tokens(count: int, length: int, vocabulary: int, seed: int, classes: int = CLASSES) -> tuple[Array, Array]:
    """Sequences (count, length) of whole numbers from 1 up to below `vocabulary`; each class has its favourites."""
    rng, templates = np.random.default_rng(seed), np.random.default_rng(0)
    weights = templates.dirichlet(np.full(vocabulary - 1, 0.5), classes)
    y = rng.integers(0, classes, count)
    return np.stack([1 + rng.choice(vocabulary - 1, length, p=weights[k]) for k in y]).astype("int32"), y


GC_CONTENT = 0.41  # Of the human genome.


def bases(count: int, length: int, seed: int) -> Array:
    """Sequences of the four bases, (count, length), 0 to 3 for A, C, G and T, in stretches richer and poorer in GC."""
    rng = np.random.default_rng(seed)
    share = np.clip(GC_CONTENT + 0.08 * smooth(rng, (count, length), (1,)), 0.1, 0.9)
    strong, first = rng.random((count, length)) < share, rng.random((count, length)) < 0.5
    return np.where(strong, np.where(first, 1, 2), np.where(first, 0, 3))


def one_hot(values: Array, size: int) -> Array:
    """(..., size), float32."""
    return np.eye(size, dtype="float32")[values]


def faces(count: int, side: int, seed: int) -> Array:
    """Grey heads with eyes, brows and a mouth, (count, side, side, 1), values from -1 to 1."""
    rng = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    drawn = []
    for _ in range(count):
        sideways, mouth = 0.1 * rng.normal(), rng.uniform(-0.25, 0.25)
        x = across - sideways
        picture = 0.3 + 0.1 * rng.normal() + 0.5 * _blob(x, down, 0.0, 0.0, 0.62, 0.8)
        for eye in (-0.28, 0.28):
            picture -= 0.45 * _blob(x, down, eye, -0.2, 0.11, 0.07) + 0.25 * _blob(x, down, eye, -0.38, 0.18, 0.05)
        bent = down - mouth * (x**2 - 0.05) / 0.1
        picture -= 0.35 * _blob(x, bent, 0.0, 0.42, 0.26, 0.06) + 0.1 * _blob(x, down, 0.0, 0.1, 0.07, 0.15)
        picture += 0.04 * smooth(rng, (side, side), (0, 1))
        drawn.append(np.clip(picture, 0.0, 1.0) * 2.0 - 1.0)
    return np.stack(drawn)[..., None].astype("float32")


def _blob(x: Array, y: Array, at_x: float, at_y: float, width: float, height: float) -> Array:
    return np.asarray(np.exp(-((((x - at_x) / width) ** 2 + ((y - at_y) / height) ** 2) ** 2)))


def sound(count: int, length: int, rate_hz: int, seed: int) -> Array:
    """Notes of a plucked instrument with overtones over a quiet hiss, (count, length), values from -1 to 1."""
    rng, time = np.random.default_rng(seed), np.arange(length) / rate_hz
    found = 0.003 * rng.normal(size=(count, length))
    for i in range(count):
        for start in np.sort(rng.uniform(0, length / rate_hz, 6)):
            pitch_hz, since = 440.0 * 2.0 ** (rng.integers(-24, 13) / 12), np.maximum(time - start, 0.0)
            tone = sum(np.sin(2 * np.pi * k * pitch_hz * since) / k**1.5 for k in range(1, 6))
            found[i] += 0.15 * rng.uniform(0.5, 1.0) * (time > start) * np.exp(-3.0 * since) * tone
    return np.clip(found, -1.0, 1.0).astype("float32")
