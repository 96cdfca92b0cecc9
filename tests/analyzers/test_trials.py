"""What is tried on the model: conversions of weights, other company, and the loss that fits where none was saved."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import analyzers
from analyzers.report import Report
from analyzers.subjects.keras_model import KerasSubject, State
from tests import specimens

L = keras.layers


def loud(report: Report) -> list[str]:
    return [c.code for c in report.causes if c.severity != "info"]


def check(report: Report, name: str) -> Any:
    return next((c for c in report.checks if c.name == name), None)


def test_swapped_gamma_and_beta_are_found_by_swapping_them_back() -> None:
    s = specimens.healthy()
    model = specimens.copy_of(s.model)
    for norm in specimens.norms(model):
        gamma, beta = np.array(norm.gamma), np.array(norm.beta)
        norm.gamma.assign(beta)
        norm.beta.assign(gamma)
    state = State(KerasSubject(model))
    report = analyzers.diagnose(model, s.x, s.y)
    assert loud(report) == ["bn_conversion_mismatch"]
    assert report.recommended_fix == "fix_conversion"
    assert not any(r.repaired_model for r in report.remedies)  # gamma and beta are no statistics
    assert state.changed() == []


def test_another_frameworks_epsilon_is_found_by_trying_it() -> None:
    """Inputs so small that epsilon decides: trained with 1e-5, rebuilt with Keras' 1e-3."""
    keras.utils.set_random_seed(3)
    x, y = specimens.data(512, 1)
    x = ((x - x.mean()) * 0.01).astype("float32")
    layers: list[Any] = [keras.Input(x.shape[1:])]
    for width in (8, 12):
        layers += [L.Conv2D(width, 3, 2, use_bias=False), L.BatchNormalization(momentum=0.9, epsilon=1e-5), L.ReLU()]
    model = keras.Sequential([*layers, L.Flatten(), L.Dense(specimens.CLASSES, activation="softmax")])
    specimens.compiled(model).fit(x, y, epochs=8, verbose=0)
    assert loud(analyzers.diagnose(model, x[:200], y[:200])) == []
    for norm in specimens.norms(model):
        norm.epsilon = 1e-3
    report = analyzers.diagnose(model, x[:200], y[:200])
    assert loud(report) == ["bn_conversion_mismatch"]
    assert "1e-05" in report.causes[0].explanation
    assert all(norm.epsilon == 1e-3 for norm in specimens.norms(model))


def test_statistics_of_the_batch_computed_by_hand_are_seen_by_changing_the_company() -> None:
    inputs = keras.Input((6,))
    x = L.Dense(8)(inputs)
    x = (x - keras.ops.mean(x, axis=0, keepdims=True)) / (keras.ops.std(x, axis=0, keepdims=True) + 1e-3)
    model = keras.Model(inputs, L.Dense(3)(x))
    for variable in model.trainable_variables:
        variable.assign(np.random.default_rng(1).normal(0.3, 0.7, variable.shape))  # as if trained
    report = analyzers.diagnose(model, np.random.default_rng(0).normal(size=(64, 6)).astype("float32"))
    assert loud(report) == ["bn_batch_statistics_at_inference"]
    assert report.recommended_fix == "pass_training_flag"


@pytest.mark.parametrize("shape", ["sparse", "column", "one_hot"])
def test_labels_are_judged_by_the_loss_that_fits_where_none_was_saved(shape: str) -> None:
    s = specimens.lagging()
    y: Any = {"sparse": s.y, "column": s.y[:, None], "one_hot": np.eye(specimens.CLASSES)[s.y]}[shape]
    named = analyzers.diagnose(s.model, s.x, s.y)
    bare = s.model.__class__.from_config(s.model.get_config())
    assert not bare.compiled
    bare.set_weights(s.model.get_weights())
    report = analyzers.diagnose(bare, s.x, y)
    assert report.phases.inference.loss == pytest.approx(named.phases.inference.loss, rel=1e-5)
    assert check(report, "judged_by") is not None
    assert check(named, "judged_by") is None


def test_numbers_are_judged_by_squared_error() -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(1)])
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(48, 4)).astype("float32"), rng.normal(size=(48, 1)).astype("float32")
    report = analyzers.diagnose(model, x, y)
    expected = float(np.mean((model.predict(x, verbose=0) - y) ** 2))
    assert report.phases.inference.loss == pytest.approx(expected, rel=1e-5)
