"""What chance gives, held against simulation: how often sound layers and channels pass, and how often ill ones do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from analyzers import noise
from analyzers import statistics as s
from analyzers.statistics import Moments, SampleMoments

CHANNELS = 8
SOUND = Moments(np.zeros(CHANNELS), np.ones(CHANNELS))
Draw = Callable[[float, tuple[int, ...]], np.ndarray]


def drawing(tails: str, seed: int) -> Draw:
    """Values of mean 0 and the given standard deviation."""
    rng = np.random.default_rng(seed)
    if tails == "normal":
        return lambda sd, size: rng.normal(0.0, sd, size)
    return lambda sd, size: sd * rng.standard_t(5, size) / np.sqrt(5 / 3)


def layer_input(draw: Draw, samples: int, positions: int, shift: float = 0.0) -> SampleMoments:
    """A layer whose true mean is `shift` and true variance 1, the positions of a sample correlated."""
    x = shift + draw(0.8, (samples, 1, CHANNELS)) + draw(0.6, (samples, positions, CHANNELS))
    return SampleMoments(np.full(samples, float(positions)), x.mean(axis=1), x.var(axis=1))


def measured(moments: SampleMoments) -> tuple[float, np.ndarray]:
    """Divergence from stored statistics that are right: of the layer, and by channel."""
    pooled = s.pool(moments)
    return s.divergence(pooled, SOUND, 1e-3).kl, s.kl_per_channel(pooled, SOUND, 1e-3)


@pytest.mark.parametrize("positions", [1, 50])
@pytest.mark.parametrize("tails", ["normal", "heavy"])
def test_sound_layers_pass_one_time_in_a_hundred(positions: int, tails: str) -> None:
    """Whatever the correlation within a sample: by the floor that is printed, and by the p-value."""
    draw, rng = drawing(tails, 3), np.random.default_rng(3)
    by_floor = by_p = 0
    for _ in range(300):
        moments = layer_input(draw, 48, positions)
        kl, _ = measured(moments)
        law = noise.chance(moments, 1e-3, 1e9, rng)
        by_floor += kl > law.floor
        by_p += law.p_value(kl) < 0.01
    assert by_floor <= 12  # 1 % of 300, and four standard errors
    assert by_p <= 12


@pytest.mark.parametrize("samples", [48, 200])
def test_channel_p_values_are_those_of_chance(samples: int) -> None:
    draw = drawing("normal", 5)
    found = []
    for _ in range(150):
        moments = layer_input(draw, samples, 6)
        found.append(noise.channel_p_values(moments, measured(moments)[1], 1e-3, 1e9))
    p = np.concatenate(found)
    for level in (0.5, 0.1, 0.01):
        assert np.mean(p < level) == pytest.approx(level, abs=0.3 * level + 0.012)


def test_noise_of_the_stored_statistics_counts_too() -> None:
    """Stored statistics from as many samples as are sent: divergence doubles by chance, and so must the floor."""
    draw, rng = drawing("normal", 7), np.random.default_rng(7)
    passed = alone = 0
    for _ in range(200):
        stored, moments = s.pool(layer_input(draw, 64, 4)), layer_input(draw, 64, 4)
        kl = s.divergence(s.pool(moments), stored, 1e-3).kl
        passed += kl > noise.chance(moments, 1e-3, 64, rng).floor
        alone += kl > noise.chance(moments, 1e-3, 1e9, rng).floor
    assert passed <= 9
    assert alone > 40


@pytest.mark.parametrize("samples", [32, 128])
def test_a_shift_called_detectable_is_detected_nine_times_in_ten(samples: int) -> None:
    draw, rng = drawing("normal", 8), np.random.default_rng(8)
    smallest = float(np.median([noise.chance(layer_input(draw, samples, 6), 1e-3, 1e9, rng).detectable
                                for _ in range(20)]))  # fmt: skip
    passed = {1.0: 0, 0.5: 0}
    for _ in range(200):
        for part in passed:
            moments = layer_input(draw, samples, 6, part * np.sqrt(2.0 * smallest))
            passed[part] += measured(moments)[0] > noise.chance(moments, 1e-3, 1e9, rng).floor
    assert passed[1.0] / 200 > 0.85
    assert passed[0.5] / 200 < 0.6  # no larger than it need be: half of it is mostly missed


def test_floor_falls_with_the_samples() -> None:
    draw, rng = drawing("normal", 4), np.random.default_rng(4)
    floors = [noise.chance(layer_input(draw, n, 4), 1e-3, 1e9, rng).floor for n in (32, 128, 512)]
    assert floors[0] > 3 * floors[1] > 9 * floors[2]


def test_false_discoveries_are_held_among_many() -> None:
    """Of a thousand sound channels and a hundred ill ones nearly all ill ones are named, and hardly a sound one."""
    p = np.concatenate([np.random.default_rng(9).uniform(size=1000), np.full(100, 1e-6)])
    named = noise.discoveries(p)
    assert named[1000:].all()
    assert named[:1000].sum() <= 5
    assert not noise.discoveries([]).size


def test_exponential_window_counts_its_samples() -> None:
    """Variance of a converged moving average of batch means, by simulation."""
    rng = np.random.default_rng(6)
    momentum, batch = 0.9, 16
    value = np.zeros(4000)
    for _ in range(200):
        value = momentum * value + (1 - momentum) * rng.normal(0, 1 / np.sqrt(batch), 4000)
    assert noise.effective_stored_samples(momentum, batch) == pytest.approx(1 / value.var(), rel=0.1)


@pytest.mark.parametrize(("mean", "shape"), [(float("nan"), 1.0), (1.0, float("nan")), (float("inf"), 0.0)])
def test_nothing_is_beyond_a_chance_that_is_unknown(mean: float, shape: float) -> None:
    law = noise.Chance(floor=1.0, mean=mean, shape=shape)
    assert law.p_value(5.0) == 1.0
    assert law.p_value(float("inf")) == 0.0, "a divergence without bounds is none of chance's"
    assert noise.discoveries([law.p_value(5.0), 0.5]).tolist() == [False, False]
