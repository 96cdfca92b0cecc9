"""A loss or metric named beside the model is read as fits the output; one saved in the model is taken at its word."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import analyzers
from analyzers.report import Report


def linear(units: int, activation: str | None = None) -> Any:
    model = keras.Sequential([keras.Input((units,)), keras.layers.Dense(units, activation, name="head")])
    model.layers[0].set_weights([np.eye(units), np.full(units, 1e-3)])
    return model


def sample(units: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, max(units, 2), 64)
    z = 1.5 * np.eye(units)[y] if units > 1 else 0.8 * (2 * y - 1)[:, None]
    return (z + rng.normal(0, 0.6, (64, units))).astype("float32"), y


def loud(report: Report) -> list[str]:
    return [c.code for c in report.causes if c.severity != "info"]


@pytest.mark.parametrize(("units", "loss"), [(1, "binary_crossentropy"), (4, "sparse_categorical_crossentropy")])
def test_named_losses_and_accuracies_take_logits_where_the_output_is_such(units: int, loss: str) -> None:
    z, y = sample(units)
    report = analyzers.diagnose(linear(units), z, y, loss=loss, metrics="accuracy")
    right = (z[:, 0] > 0) == y if units == 1 else z.argmax(axis=1) == y
    assert report.phases.inference.metrics["accuracy"] == pytest.approx(np.mean(right))
    assert report.phases.inference.loss is not None
    assert float(report.phases.inference.loss) < 1.0
    assert loud(report) == []
    assert "named_of_logits" in [c.name for c in report.checks]


def test_what_is_saved_is_taken_at_its_word() -> None:
    z, y = sample(1)
    model = linear(1)
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    report = analyzers.diagnose(model, z, y, loss="binary_crossentropy", metrics="accuracy")
    assert loud(report) == ["metric_mismatch"]


def test_probabilities_are_left_alone() -> None:
    z, y = sample(4)
    report = analyzers.diagnose(linear(4, "softmax"), z, y, loss="sparse_categorical_crossentropy", metrics="accuracy")
    assert "named_of_logits" not in [c.name for c in report.checks]
    assert loud(report) == []
