"""Moments of each sample and channel of what a layer sees, the only trace that a pass keeps of its activations.

On a CPU they are summed up where the numbers lie, by NumPy: TensorFlow's reductions over the axes in the middle take
several times as long, and as much memory again. Where such sums would be too coarse they are taken around the mean.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from analyzers.statistics import SampleMoments
from analyzers.tensors import float64

BLOCK = 128  # Values that are added up in float32, each block's sum in float64: an error of some 1e-6, and no more.
STEEP = 300.0  # Of squared mean to variance, up to which E[x^2] - E[x]^2 keeps the variance to a thousandth.

Sums = tuple[NDArray[np.float64], NDArray[np.float64]]


def sample_moments(inputs: Any, axis: int, mask: Any = None) -> SampleMoments:
    """Mean and variance of each sample and channel of `inputs`, (samples, ...) with channels on `axis`.

    With a `mask`, one dimension less than the inputs, only positions where it is true count.
    """
    x = keras.ops.cast(inputs, "float32")
    rank = len(x.shape)
    channel = axis % rank
    over = [a for a in range(1, rank) if a != channel]
    samples = int(x.shape[0])
    if not over:
        mean = float64(x)
        count = np.ones(samples)
        if mask is not None:
            count = float64(mask).reshape(samples)
        return SampleMoments(count, mean, np.zeros_like(mean))
    if mask is not None:
        return _masked_moments(x, mask, over)
    size = float(np.prod([int(x.shape[a]) for a in over]))
    m, v = _summed(x, channel) or _around_the_mean(x, over)
    return SampleMoments(np.full(samples, size), m, np.maximum(v, 0.0))


def _around_the_mean(x: Any, over: list[int]) -> Sums:
    m, v = keras.ops.moments(x, axes=over)
    return float64(m), float64(v)


def _summed(x: Any, channel: int) -> Sums | None:
    """Mean and variance by sums of values and of squares; None where these would not do, or lie on another device."""
    rank = len(x.shape)
    if channel not in (1, rank - 1) or "CPU" not in str(getattr(x, "device", "")):
        return None
    values = np.asarray(x)
    rows, channels = values.shape[0], values.shape[channel]
    if channel == rank - 1:
        values = values.reshape(rows, -1, channels)
    else:
        values = values.reshape(rows, channels, -1).swapaxes(1, 2)
    size = values.shape[1]
    with np.errstate(all="ignore"):
        total, squares = _block_sums(values)
        mean = total / size
        variance = squares / size - np.square(mean)
        return (mean, variance) if bool(np.all(np.square(mean) <= STEEP * variance)) else None


def _block_sums(values: NDArray[np.float32]) -> Sums:
    """Sums of values and of squares over the middle axis of (samples, values, channels)."""
    rows, size, channels = values.shape
    whole = size // BLOCK * BLOCK
    parts, rest = values[:, :whole].reshape(rows, whole // BLOCK, BLOCK, channels), values[:, whole:]
    sums = _sums(parts).sum(axis=1, dtype=np.float64) + _sums(rest)
    squares = np.einsum("nkbc,nkbc->nkc", parts, parts).sum(axis=1, dtype=np.float64)
    return sums, squares + np.einsum("nbc,nbc->nc", rest, rest)


def _sums(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums over the last axis but one; by BLAS, in half the time of `einsum` where there are few channels."""
    ones = np.ones((1, values.shape[-2]), np.float32)
    return np.asarray(np.matmul(ones, values)[..., 0, :])


def _masked_moments(x: Any, mask: Any, over: list[int]) -> SampleMoments:
    weight = keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1)
    count = keras.ops.sum(weight, axis=over)
    safe = keras.ops.maximum(count, 1.0)
    mean = keras.ops.sum(x * weight, axis=over) / safe
    shape = [int(x.shape[0])] + [1 if a in over else int(x.shape[a]) for a in range(1, len(x.shape))]
    centered = (x - keras.ops.reshape(mean, shape)) * weight
    variance = keras.ops.sum(keras.ops.square(centered), axis=over) / safe
    return SampleMoments(float64(count)[:, 0], float64(mean), float64(variance))
