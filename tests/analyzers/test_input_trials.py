"""A sample prepared otherwise is told from statistics of other weights, wherever the first normalization stands."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest

import analyzers
from analyzers.report import Evidence, Report
from tests import ailments, specimens

L = keras.layers
SHIFT, SCALE, STALE = "input_distribution_shift", "input_scaling_mismatch", "bn_statistics_stale"


@cache
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Colour images from 0 to 1; the class is the place of a bar and its colour."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, 4, 640)
    x = rng.beta(2, 3, (640, 12, 12, 3))
    for i, label in enumerate(y):
        place, colour = divmod(int(label), 2)
        x[i, 6 * place + 1 : 6 * place + 5, 2:10, 2 * colour] *= 0.4
    return x.astype("float32"), y


@cache
def net(*, activation_first: bool) -> Any:
    """A network in which an activation stands before the first normalization, or none."""
    keras.utils.set_random_seed(11)
    x, y = pictures()
    layers: list[Any] = [keras.Input(x.shape[1:])]
    for width in (8, 12):
        conv = L.Conv2D(width, 3, strides=2, activation="relu" if activation_first else None)
        layers += [conv, L.BatchNormalization(momentum=0.9)] + ([] if activation_first else [L.ReLU()])
    layers += [L.Flatten(), L.Dense(16), L.BatchNormalization(momentum=0.9), L.ReLU(), L.Dense(4, activation="softmax")]
    model = specimens.compiled(keras.Sequential(layers))
    model.fit(x[:512], y[:512], batch_size=32, epochs=12, verbose=0)
    return model


def diagnose(model: Any, change: Callable[[np.ndarray], np.ndarray], *, labelled: bool = True) -> Report:
    x, y = pictures()
    return analyzers.diagnose(model, change(x[512:]).astype("float32"), y[512:] if labelled else None, batch_size=32)


def loud(report: Report) -> list[str]:
    return [c.code for c in report.causes if c.severity != "info"]


def evidence(report: Report, name: str) -> Evidence:
    return next(e for c in report.causes for e in c.evidence if e.name == name)


@pytest.mark.parametrize("activation_first", [True, False])
def test_the_sample_as_it_should_be_raises_nothing(activation_first: bool) -> None:
    assert loud(diagnose(net(activation_first=activation_first), lambda x: x)) == []


@pytest.mark.parametrize(
    ("change", "factor"), [(lambda x: x * 255, 1 / 255), (lambda x: 2 * x - 1, 0.5), (lambda x: 0.3 * x, 1 / 0.3)]
)
def test_a_scale_is_found_behind_an_activation(change: Callable[[np.ndarray], np.ndarray], factor: float) -> None:
    report = diagnose(net(activation_first=True), change)
    assert loud(report) == [SCALE]
    assert report.recommended_fix == "match_preprocessing"
    assert not any(r.repaired_model for r in report.remedies)
    assert evidence(report, "factor_that_restores").value == pytest.approx(factor, rel=0.1)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gains": lambda x: x * np.array([1.8, 1.0, 0.5]),
    "gains and offsets": lambda x: x * np.array([0.6, 1.3, 1.0]) + np.array([0.4, -0.2, 0.1]),
    "light": lambda x: x**0.25,
}


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("activation_first", [True, False])
@pytest.mark.parametrize("name", list(CHANGES))
def test_channels_in_another_unit_or_light_are_no_stale_statistics(
    name: str, activation_first: bool, labelled: bool
) -> None:
    report = diagnose(net(activation_first=activation_first), CHANGES[name], labelled=labelled)
    assert not any(r.repaired_model for r in report.remedies)
    if name == "light" and loud(report) == [SCALE]:
        return  # where a bent curve is as good as straight, one factor and one offset say the same
    assert loud(report) == [SHIFT]
    behind = evidence(report, "divergence_behind_after_correction_of_channels")
    assert isinstance(behind.value, float)
    assert isinstance(behind.reference, float)
    assert behind.value < 0.2 * behind.reference


@pytest.mark.parametrize("activation_first", [True, False])
def test_edited_weights_are_no_shift_of_the_input(activation_first: bool) -> None:
    model = specimens.copy_of(net(activation_first=activation_first))
    rng = np.random.default_rng(3)
    linear = [x for x in model.layers if isinstance(x, (L.Conv2D, L.Dense))][:-1]
    for layer in linear:
        kernel, *rest = layer.get_weights()
        layer.set_weights([kernel + rng.normal(0, 0.35 * kernel.std(), kernel.shape), *rest])
    report = diagnose(model, lambda x: x)
    assert loud(report) == [STALE]


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, -1.0])
@pytest.mark.parametrize("moment", ["moving_mean", "moving_variance"])
def test_impossible_statistics_are_named_and_stop_no_trial(moment: str, value: float) -> None:
    model = specimens.copy_of(net(activation_first=False))
    stored = getattr(specimens.norms(model)[0], moment)
    values = np.array(stored)
    values[1] = value
    stored.assign(values)
    report = diagnose(model, CHANGES["gains"])
    if moment == "moving_variance" or not np.isfinite(value):
        assert "bn_corrupt_statistics" in loud(report)


def test_both_inputs_of_a_model_see_the_input() -> None:
    """In a model of two branches either first normalization shows a shift, and neither is behind the other."""
    rng = np.random.default_rng(8)
    a, b = keras.Input((6,), name="a"), keras.Input((5,), name="b")
    sides = [L.ReLU()(L.BatchNormalization(momentum=0.9)(L.Dense(16)(i))) for i in (a, b)]
    hidden = L.ReLU()(L.BatchNormalization(momentum=0.9)(L.Dense(16)(L.Concatenate()(sides))))
    model = keras.Model([a, b], L.Dense(3, activation="softmax")(hidden))
    keras.utils.set_random_seed(2)
    x = [rng.normal(1, 1, (600, n)).astype("float32") for n in (6, 5)]
    y = np.argmax(x[0][:, :3] + x[1][:, :3], axis=1)
    specimens.compiled(model).fit(x, y, batch_size=32, epochs=15, verbose=0)
    gains = [rng.lognormal(0, 0.8, n) for n in (6, 5)]
    moved = [(v[:160] * g + 1.0).astype("float32") for v, g in zip(x, gains, strict=True)]
    assert loud(analyzers.diagnose(model, moved, y[:160])) == [SHIFT]


def test_a_shift_that_no_correction_of_channels_undoes_is_left_to_the_other_tells() -> None:
    s = ailments.BY_CAUSE[SHIFT]()
    assert analyzers.diagnose(s.model, s.x, s.y, batch_size=s.batch_size).primary_cause == SHIFT
