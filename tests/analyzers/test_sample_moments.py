"""Moments of samples, held against NumPy's in float64: any layout, any offset, and numbers that are none."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from analyzers import sample_moments as module
from analyzers.sample_moments import sample_moments

SHAPES = [(5, 7, 6, 4), (3, 1, 1, 8), (4, 300, 3), (2, 257, 2), (2, 128, 128, 1), (6, 3), (2, 3, 4, 5, 6)]


def expected(x: np.ndarray[Any, Any], axis: int) -> tuple[Any, Any]:
    over = tuple(a for a in range(1, x.ndim) if a != axis % x.ndim)
    exact = x.astype(np.float64)
    return exact.mean(axis=over), exact.var(axis=over)


def check(x: np.ndarray[Any, Any], axis: int, tolerance: float = 1e-3) -> None:
    seen = sample_moments(tf.constant(x), axis)
    mean, variance = expected(x, axis)
    spread = np.sqrt(variance) + np.abs(mean) + 1e-30
    assert np.all(np.abs(seen.mean - mean) / spread < 1e-5)
    assert np.all(np.abs(seen.variance - variance) <= tolerance * variance + 1e-12 * spread**2)
    assert np.all(seen.count == x[0].size / x.shape[axis])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize(("offset", "spread"), [(0.0, 1.0), (3.0, 2.0), (-120.0, 70.0), (50.0, 3.0), (0.0, 1e-6)])
def test_moments_are_those_of_float64(shape: tuple[int, ...], axis: int, offset: float, spread: float) -> None:
    draw = np.random.default_rng(hash((shape, axis)) % 1000)
    check(draw.normal(offset, spread, shape).astype("float32"), axis)


@pytest.mark.parametrize("offset", [100.0, 1e4, 1e6])
def test_offsets_far_beyond_the_spread_cost_no_precision(offset: float) -> None:
    x = np.random.default_rng(0).normal(offset, 1.0, (4, 9, 9, 3)).astype("float32")
    check(x, -1, tolerance=0.02)
    exact = keras.ops.moments(x, axes=[1, 2])[1]
    assert np.allclose(sample_moments(tf.constant(x), -1).variance, np.asarray(exact), rtol=2e-3)


def test_a_channel_in_the_middle_is_summed_up_by_tensorflow() -> None:
    check(np.random.default_rng(0).normal(1.0, 2.0, (4, 5, 3, 6)).astype("float32"), 2)


def test_constant_channels_have_no_variance() -> None:
    x = np.full((3, 8, 8, 2), 7.5, "float32")
    x[..., 1] = 0
    assert sample_moments(tf.constant(x), -1).variance.max() == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_numbers_that_are_none_end_as_in_tensorflow(bad: float) -> None:
    x = np.random.default_rng(0).normal(size=(3, 6, 6, 4)).astype("float32")
    x[1, 2, 3, 0] = bad
    seen = sample_moments(tf.constant(x), -1)
    mean, variance = (np.asarray(t, np.float64) for t in keras.ops.moments(x, axes=[1, 2]))
    assert np.allclose(seen.mean, mean, rtol=1e-5, atol=1e-6, equal_nan=True)
    assert np.allclose(seen.variance, np.maximum(variance, 0), rtol=1e-5, equal_nan=True)
    assert np.isfinite(seen.variance[[0, 2]]).all()


def test_where_activations_lie_elsewhere_they_are_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        shape, device = (2, 3, 3, 4), "/job:localhost/replica:0/task:0/device:GPU:0"

        def __array__(self, *_: Any) -> Any:
            raise AssertionError("fetched")

    assert module._summed(Elsewhere(), 3) is None


def test_masked_steps_do_not_count() -> None:
    x = np.random.default_rng(0).normal(2.0, 1.0, (3, 5, 4)).astype("float32")
    mask = np.arange(5) < np.array([[5], [3], [1]])
    seen = sample_moments(tf.constant(x), -1, tf.constant(mask))
    for row in range(3):
        assert np.allclose(seen.mean[row], x[row, mask[row]].mean(axis=0), atol=1e-5)
        assert np.allclose(seen.variance[row], x[row, mask[row]].var(axis=0), atol=1e-5)
    assert seen.count.tolist() == [5, 3, 1]
