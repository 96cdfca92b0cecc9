"""Outputs that do not depend on the input are found with the layer that does it; sure models are not taken for dead."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import analyzers
from analyzers.layer_cases import start_moments
from analyzers.report import Report

layers = keras.layers
CODE = "degenerate_output"


def net(
    units: int, activation: str | None, last_kernel: float = 0.5, bias: float = 0.3, first_bias: float = 0.1
) -> Any:
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu", name="first"),
            layers.Dense(8, "relu", name="second"),
            layers.Dense(units, activation, name="head"),
        ],
        name="net",
    )
    rng = np.random.default_rng(5)
    for layer in model.layers:
        kernel, own = layer.get_weights()
        layer.set_weights([kernel, own + first_bias])
    model.layers[-1].set_weights([last_kernel * rng.normal(0, 1, (8, units)), np.full(units, bias)])
    return model


def sample(classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(10)
    return rng.normal(size=(64, 6)).astype("float32"), rng.integers(0, classes, 64)


def diagnosed(model: Any, y: np.ndarray | None, loss: str | None) -> Report:
    return analyzers.diagnose(model, sample()[0], y, loss=loss)


def loud(report: Report) -> list[str]:
    return [c.code for c in report.causes if c.severity != "info"]


@pytest.mark.parametrize(
    ("model", "loss", "layer"),
    [
        (net(1, "softmax"), "binary_crossentropy", "net/head"),
        (net(1, "sigmoid", last_kernel=0.0, bias=0.3), "binary_crossentropy", "net/head"),
        (net(3, "softmax", last_kernel=0.0), "sparse_categorical_crossentropy", "net/head"),
        (net(1, "relu", bias=-200.0), "mse", "net/head"),
        (net(1, "tanh", bias=200.0), "mse", "net/head"),
        (net(2, "softmax", first_bias=-50.0), "sparse_categorical_crossentropy", "net/first"),
        (net(1, None, first_bias=-50.0), "mse", "net/first"),
    ],
)
@pytest.mark.parametrize("labelled", [True, False])
def test_constant_outputs(model: Any, loss: str, layer: str, labelled: bool) -> None:
    report = diagnosed(model, sample()[1] if labelled else None, loss)
    assert loud(report) == [CODE]
    assert report.causes[0].layers == [layer]


def test_a_saturated_sigmoid_is_dead_where_labels_say_so() -> None:
    model = net(1, "sigmoid", bias=200.0)
    assert loud(diagnosed(model, sample()[1], "binary_crossentropy")) == [CODE]
    assert loud(diagnosed(model, None, None)) == []


def test_a_sure_model_on_samples_of_one_class_is_not_dead() -> None:
    x, _ = sample()
    model = net(1, "sigmoid", bias=120.0)
    for labels in (np.ones(64, int), None):
        assert loud(analyzers.diagnose(model, x, labels, loss="binary_crossentropy")) == []


def test_one_output_of_two_is_dead() -> None:
    x, y = sample()
    inputs = keras.Input((6,))
    hidden = layers.Dense(8, "relu")(inputs)
    good, dead = layers.Dense(1, "sigmoid", name="good")(hidden), layers.Dense(1, "relu", name="dead")(hidden)
    model = keras.Model(inputs, [good, dead], name="net")
    for layer in model.layers[1:]:
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel, bias + (-50 if layer.name == "dead" else 0.1)])
    report = analyzers.diagnose(model, x, {"good": y, "dead": y.astype("float32")}, loss=None)
    assert report.primary_cause == CODE
    assert report.causes[0].layers == ["net/dead"]


def test_outputs_that_hardly_vary_are_not_constant() -> None:
    x, y = sample()
    report = analyzers.diagnose(net(1, "sigmoid", last_kernel=1e-3), x, y, loss="binary_crossentropy")
    assert loud(report) == []


def test_statistics_without_an_initializer_start_where_others_do() -> None:
    norm = layers.BatchNormalization(moving_variance_initializer=None)
    norm.build((None, 4))
    start = start_moments(norm)
    assert (start.mean.tolist(), start.variance.tolist()) == ([0.0] * 4, [1.0] * 4)
