"""`Normalization` layers that were never adapted are found where they stand, and judged by what adapting them does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest

import analyzers
from analyzers.report import CauseFinding, Report

layers = keras.layers
CODE = "normalization_layer_not_adapted"
SCALES, PLACES = np.array([1.0, 10, 100, 5]), np.array([5.0, 100, 1000, 0])


@cache
def data(samples: int = 320) -> tuple[np.ndarray, np.ndarray]:
    """Four features of very different size, and two classes."""
    rng = np.random.default_rng(11)
    y = rng.integers(0, 2, samples)
    x = (rng.normal(0, 1, (samples, 4)) + 1.5 * y[:, None]) * SCALES + PLACES
    return x.astype("float32"), y


def plain(normalization: Any) -> Any:
    return keras.Sequential(
        [keras.Input((4,)), normalization, layers.Dense(8, "relu", name="hidden"), layers.Dense(2, "softmax")],
        name="net",
    )


def nested(normalization: Any) -> Any:
    inner = keras.Sequential([keras.Input((4,)), normalization, layers.Dense(8, "relu", name="hidden")], name="inner")
    return keras.Sequential([keras.Input((4,)), inner, layers.Dense(2, "softmax")], name="net")


def behind(normalization: Any) -> Any:
    """Behind two inputs joined and rescaled."""
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    joined = layers.Rescaling(0.5)(layers.Concatenate()([a, b]))
    hidden = layers.Dense(8, "relu", name="hidden")(normalization(joined))
    return keras.Model([a, b], layers.Dense(2, "softmax")(hidden), name="net")


def fed(model: Any, x: np.ndarray) -> Any:
    return {"a": x[:, :2], "b": x[:, 2:]} if len(model.inputs) == 2 else x


@cache
def fitted(build: Callable[[Any], Any]) -> Any:
    """Trained behind an adapted layer."""
    x, y = data()
    keras.utils.set_random_seed(1)
    factor = 0.5 if build is behind else 1.0
    normalization = layers.Normalization(name="normalization")
    normalization.adapt(factor * x)
    model = build(normalization)
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(fed(model, x), y, epochs=10, verbose=0)
    return model


def forgetful(build: Callable[[Any], Any], mean: Any = 0.0, variance: Any = 1.0) -> Any:
    """The same weights behind a layer of that mean and variance."""
    whole = np.zeros(4) + mean, np.zeros(4) + variance
    twin = build(layers.Normalization(name="normalization", mean=whole[0], variance=whole[1]))
    for own, other in zip(twin.trainable_variables, fitted(build).trainable_variables, strict=True):
        own.assign(other)
    twin.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return twin


def finding(report: Report) -> CauseFinding | None:
    return next((c for c in report.causes if c.code == CODE), None)


def loud(report: Report) -> list[str]:
    return [c.code for c in report.causes if c.severity != "info"]


@pytest.mark.parametrize(
    ("build", "path"),
    [(plain, "net/normalization"), (nested, "net/inner/normalization"), (behind, "net/normalization")],
)
def test_lost_statistics_are_found_where_the_layer_stands(build: Callable[[Any], Any], path: str) -> None:
    x, y = data()
    model = forgetful(build)
    report = analyzers.diagnose(model, fed(model, x[:96]), y[:96])
    assert loud(report) == [CODE]
    assert report.causes[0].layers == [path]
    assert report.causes[0].severity == "critical"
    assert "lost" in report.causes[0].explanation
    seen = {e.name: e.value for e in report.causes[0].evidence}
    factor = 0.5 if build is behind else 1.0
    assert float(str(seen["largest_mean_of_input"])) == pytest.approx(factor * x[:96].mean(axis=0).max(), rel=1e-3)
    whole = fitted(build)
    assert loud(analyzers.diagnose(whole, fed(whole, x[:96]), y[:96])) == []


def test_a_few_features_that_were_left_out() -> None:
    x, y = data()
    mean, variance = x.mean(axis=0), x.var(axis=0)
    mean[2], variance[2] = 0.0, 1.0
    report = analyzers.diagnose(forgetful(plain, mean, variance), x[:96], y[:96])
    assert loud(report) == [CODE]
    assert "1 feature of 4" in report.causes[0].explanation


def test_a_model_that_was_trained_without_is_left_in_peace() -> None:
    x, y = data()
    keras.utils.set_random_seed(1)
    model = plain(layers.Normalization(name="normalization"))
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x - PLACES + np.array([0, 3, 0, 0]), y, epochs=15, verbose=0)
    report = analyzers.diagnose(model, (x - PLACES + np.array([0, 3, 0, 0]))[:96], y[:96])
    assert loud(report) == []
    found = finding(report)
    assert found is not None
    assert "trained with the layer as it is" in found.explanation


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_standardized_data_and_unlabelled_samples(scale: float) -> None:
    """With nothing to adapt there is nothing to say; without labels there is no trial, and the warning stays mild."""
    x, _ = data()
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    report = analyzers.diagnose(forgetful(plain), (standard + scale * x)[:96])
    assert loud(report) == ([CODE] if scale else [])
    if scale:
        assert report.causes[0].severity == "warning"
