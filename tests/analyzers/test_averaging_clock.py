"""The averaging clock against simulated updates."""

from __future__ import annotations

import numpy as np
import pytest

from analyzers.probes import averaging_clock
from analyzers.statistics import Moments

START = Moments(np.zeros(32), np.ones(32))


def updated(updates: int, momentum: float, true: Moments, noise: float = 0.0, seed: int = 0) -> Moments:
    """Statistics after so many updates on batches whose statistics scatter around `true`."""
    rng = np.random.default_rng(seed)
    mean, variance = START.mean, START.variance
    for _ in range(updates):
        mean = momentum * mean + (1 - momentum) * (true.mean + noise * rng.normal(size=32) * np.sqrt(true.variance))
        variance = momentum * variance + (1 - momentum) * true.variance * (1 + noise * rng.normal(size=32))
    return Moments(mean, variance)


def truth(seed: int) -> Moments:
    rng = np.random.default_rng(seed)
    return Moments(rng.normal(0, 2, 32), rng.lognormal(0, 1, 32))


@pytest.mark.parametrize(("updates", "momentum"), [(5, 0.99), (50, 0.99), (200, 0.99), (300, 0.999), (3, 0.9)])
def test_counts_updates(updates: int, momentum: float) -> None:
    true = truth(updates)
    reading = averaging_clock.read(updated(updates, momentum, true, noise=0.1), true, START, momentum, 1e-3)
    assert reading is not None
    assert reading.updates == pytest.approx(updates, rel=0.15)
    assert reading.explained > 0.8


def test_converged_statistics_leave_nothing_of_the_start() -> None:
    true = truth(1)
    reading = averaging_clock.read(updated(2000, 0.99, true, noise=0.1), true, START, 0.99, 1e-3)
    assert reading is not None
    assert reading.weight_of_start < 0.03


def test_a_small_stored_variance_excludes_a_lag() -> None:
    """No stored variance can be below the weight of the start, so one of 0.001 says that 0.1 % at most is left."""
    stored = Moments(np.full(32, 0.5), np.r_[0.001, np.full(31, 0.9)])
    reading = averaging_clock.read(stored, truth(2), START, 0.99, 1e-3)
    assert reading is not None
    assert reading.weight_of_start <= 0.001 + 1e-12


def test_statistics_of_other_weights_do_not_fit() -> None:
    reading = averaging_clock.read(truth(3), truth(4), START, 0.99, 1e-3)
    assert reading is not None
    assert reading.explained < 0.6


@pytest.mark.parametrize("momentum", [0.0, 1.0, 1.5])
def test_no_clock_where_momentum_keeps_none(momentum: float) -> None:
    assert averaging_clock.read(truth(1), truth(1), START, momentum, 1e-3) is None


def test_says_how_many_updates_are_missing() -> None:
    assert averaging_clock.updates_needed(0.99) == 459
    true = truth(5)
    reading = averaging_clock.read(updated(5, 0.99, true), true, START, 0.99, 1e-3)
    assert reading is not None
    assert reading.updates_to_converge == pytest.approx(454, abs=1)
