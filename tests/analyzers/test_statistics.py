"""The statistics against independent oracles: NumPy on the raw values, SciPy's integration, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from analyzers import statistics as s
from analyzers.statistics import Moments, SampleMoments


def sample_moments(x: np.ndarray) -> SampleMoments:
    """Of values (samples, positions, channels), computed the plain way."""
    return SampleMoments(np.full(len(x), float(x.shape[1])), x.mean(axis=1), x.var(axis=1))


@given(st.integers(1, 9), st.integers(1, 7), st.integers(1, 4), st.integers(0, 2**32 - 1), st.floats(-1e4, 1e4))
def test_pooled_moments_are_those_of_all_values(n: int, p: int, c: int, seed: int, offset: float) -> None:
    x = np.random.default_rng(seed).normal(offset, 2.0, (n, p, c))
    pooled = s.pool(sample_moments(x))
    np.testing.assert_allclose(pooled.mean, x.mean(axis=(0, 1)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(pooled.variance, x.var(axis=(0, 1)), rtol=1e-6, atol=1e-9)


def test_samples_of_different_length_weigh_by_their_count() -> None:
    parts = [np.arange(3.0), np.arange(10.0, 17.0)]
    moments = SampleMoments(
        np.array([3.0, 7.0]), np.array([[p.mean()] for p in parts]), np.array([[p.var()] for p in parts])
    )
    whole = np.concatenate(parts)
    assert s.pool(moments).mean[0] == pytest.approx(whole.mean())
    assert s.pool(moments).variance[0] == pytest.approx(whole.var())


def test_average_of_moments_is_the_mixture() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 2, (500, 3)), rng.normal(-4, 1, (1500, 3))
    parts = [Moments(v.mean(axis=0), v.var(axis=0)) for v in (a, b)]
    mixed = s.average(parts, [500, 1500])
    whole = np.concatenate([a, b])
    np.testing.assert_allclose(mixed.mean, whole.mean(axis=0))
    np.testing.assert_allclose(mixed.variance, whole.var(axis=0))


@pytest.mark.parametrize(("m1", "v1", "m2", "v2"), [(0, 1, 0, 1), (1, 2, 0, 1), (-0.5, 0.3, 2, 4), (3, 1, 3, 9)])
def test_kl_is_the_integral(m1: float, v1: float, m2: float, v2: float) -> None:
    p, q = stats.norm(m1, np.sqrt(v1)), stats.norm(m2, np.sqrt(v2))
    oracle, _ = integrate.quad(lambda t: p.pdf(t) * (p.logpdf(t) - q.logpdf(t)), m1 - 12 * v1**0.5, m1 + 12 * v1**0.5)
    kl = s.kl_per_channel(Moments(np.array([m1]), np.array([v1])), Moments(np.array([m2]), np.array([v2])), 0.0)
    assert kl[0] == pytest.approx(oracle, abs=1e-7)


def test_wasserstein_is_that_of_sorted_samples() -> None:
    rng = np.random.default_rng(1)
    a, b = np.sort(rng.normal(1, 2, 200_000)), np.sort(rng.normal(0, 1, 200_000))
    oracle = np.sqrt(np.mean((a - b) ** 2))
    figures = s.divergence(Moments(np.array([1.0]), np.array([4.0])), Moments(np.array([0.0]), np.array([1.0])), 0.0)
    assert figures.wasserstein2 == pytest.approx(oracle, rel=0.01)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_impossible_variances_diverge_without_end(value: float) -> None:
    sound = Moments(np.zeros(2), np.ones(2))
    kl = s.kl_per_channel(sound, Moments(np.zeros(2), np.array([1.0, value])), 1e-3)
    assert np.isinf(kl[1])
    assert kl[0] == pytest.approx(0.0, abs=1e-12)


def test_relative_rms_has_the_units_of_the_spread() -> None:
    rng = np.random.default_rng(5)
    reference = rng.normal(100.0, 3.0, (4000, 2))
    assert s.relative_rms(np.full((4000, 2), 6.0), [reference]) == pytest.approx(2.0, rel=0.05)
    assert s.relative_rms(np.zeros((4, 2)), [np.ones((4, 2))]) == 0.0
