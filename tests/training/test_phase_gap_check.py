"""`PhaseGapCheck` in real trainings: it says what is so, nothing where nothing is, and changes not one bit."""

from __future__ import annotations

import csv
import math
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from phasegap import PhaseGapCheck, PhaseGapWarning
from tests.specimens import data, network

ALL_OF_IT = 1e9
"""A budget under which every step is looked at, however busy the machine is."""


def fit(model: Any, samples: int = 512, epochs: int = 1, batch_size: int = 32, **options: Any) -> PhaseGapCheck:
    check = PhaseGapCheck(budget=ALL_OF_IT)
    x, y = options.pop("of", None) or data(samples, seed=1)
    model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=[check], **options)
    return check


def kinds(check: PhaseGapCheck) -> list[str]:
    return [advice.kind for advice in check.said]


@pytest.fixture(autouse=True)
def no_warning_is_an_accident() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PhaseGapWarning)
        yield


def everything(model: Any, history: Any) -> list[np.ndarray]:
    """All that a training leaves: variables of model, optimizer and metrics, seeds, figures, and the next draws."""
    variables = [*model.variables, *model.optimizer.variables, *[v for m in model.metrics for v in m.variables]]
    figures = [np.asarray(history.history[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy")]
    draws = [keras.random.normal((3,)), np.random.normal(size=3), [random.random()]]
    return [np.asarray(value) for value in [*variables, *figures, *draws]]


def train(check: list[PhaseGapCheck]) -> list[np.ndarray]:
    keras.utils.set_random_seed(3)
    layers = [keras.Input((12, 12, 3)), keras.layers.RandomFlip(seed=4), keras.layers.Conv2D(8, 3), keras.layers.ReLU()]
    layers += [keras.layers.BatchNormalization(), keras.layers.Flatten(), keras.layers.Dropout(0.3, seed=5)]
    model = keras.Sequential([*layers, keras.layers.Dense(4, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = data(200, seed=1)
    return everything(model, model.fit(x, y, epochs=3, validation_split=0.2, verbose=0, callbacks=check))


def test_a_training_is_the_same_to_the_last_bit() -> None:
    check = PhaseGapCheck(budget=ALL_OF_IT)
    without, with_it = train([]), train([check])
    assert check.layers
    assert len(without) == len(with_it) > 20
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(without, with_it, strict=True))


def test_healthy_trainings_are_left_in_peace() -> None:
    check = fit(network(0.9), epochs=8)
    assert kinds(check) == []
    assert all(drift.gap < 0.2 for drift in check.layers.values())
    assert len(check.layers) == 3


@pytest.mark.slow
def test_the_usual_momentum_is_no_fault_where_there_is_time() -> None:
    assert kinds(fit(network(0.99), epochs=40)) == []


def test_too_few_updates_are_told_early_and_at_the_end() -> None:
    model = network(0.995)
    with pytest.warns(PhaseGapWarning, match="919 updates") as caught:
        check = fit(model, epochs=3)
    assert [each.category for each in caught].count(PhaseGapWarning) == 2
    assert {each.category for each in caught} == {PhaseGapWarning}, {str(each.message) for each in caught}
    assert kinds(check) == ["too_few_updates"] * 2
    first, last = (advice.text for advice in check.said)
    assert "this training ends after 48: 79% of the start" in first
    assert "this training has made 48: 79% of the start" in last
    assert "momentum=0.90" in first
    assert "`norm_0`" in first
    x, y = data(256, seed=3)
    assert model.evaluate(x, y, verbose=0)[1] < 0.8  # it is so
    cured = network(0.9)
    fit(cured, epochs=3)
    assert cured.evaluate(x, y, verbose=0)[1] > 0.95  # and the advice helps


def test_one_step_an_epoch_as_in_the_founding_case() -> None:
    check = fit(network(0.99), samples=3, batch_size=3, epochs=5)
    assert "too_few_updates" in kinds(check)
    assert "has made 5: 95% of the start" in check.said[-1].text
    assert "momentum=0.39" in check.said[-1].text


def dense(batch_norm: Any) -> Any:
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((8,)), batch_norm, keras.layers.Dense(16), keras.layers.Dense(4, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def table(samples: int = 320) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    y = draw.integers(0, 4, samples)
    return (draw.normal(0, 1, (samples, 8)) + 3.0 * y[:, None]).astype("float32"), y


@pytest.mark.parametrize(("batch_size", "wanted"), [(2, ["noisy_batches"]), (32, [])])
def test_batches_that_are_too_small_are_told(batch_size: int, wanted: list[str]) -> None:
    norm = keras.layers.BatchNormalization(momentum=0.9, name="norm")
    assert kinds(fit(dense(norm), of=table(), batch_size=batch_size, epochs=2))[:1] == wanted


def test_batches_of_one_kind_are_told() -> None:
    x, y = table()
    order = np.argsort(y, kind="stable")
    check = PhaseGapCheck(budget=ALL_OF_IT)
    norm = keras.layers.BatchNormalization(momentum=0.5, name="norm")
    dense(norm).fit(x[order][::20], y[order][::20], batch_size=1, epochs=1, verbose=0, callbacks=[check], shuffle=False)
    assert any("shuffle" in advice.text for advice in check.said)


def test_statistics_of_another_domain_are_told() -> None:
    norm = keras.layers.BatchNormalization(momentum=0.99, name="norm")
    model = dense(norm)
    norm.moving_mean.assign(np.full(8, 40.0))
    norm.moving_variance.assign(np.full(8, 2.0))
    check = fit(model, of=table(), epochs=2)
    assert kinds(check) == ["not_following"]
    assert "last 100 steps" in check.said[0].text


def test_lost_statistics_are_told() -> None:
    model = dense(keras.layers.BatchNormalization(name="norm"))
    x, y = table()
    x[5, 2] = np.nan
    assert kinds(fit(model, of=(x, y))) == ["not_finite"]


def test_batch_statistics_are_read_exactly() -> None:
    """Against the batches themselves: one layer on the inputs, called once a step, or twice."""
    x, y = table(128)
    for calls in (1, 2):
        norm = keras.layers.BatchNormalization(momentum=0.9, name="norm")
        inputs = keras.Input((8,))
        once = norm(inputs)
        outputs = keras.layers.Dense(4, "softmax")(once if calls == 1 else keras.layers.Add()([once, norm(inputs)]))
        model = keras.Model(inputs, outputs)
        model.compile("sgd", "sparse_categorical_crossentropy")
        check = PhaseGapCheck(budget=ALL_OF_IT)
        model.fit(x, y, batch_size=32, epochs=1, shuffle=False, verbose=0, callbacks=[check])
        told = check._told[-1]
        assert len(told) == 4
        stored_mean, stored_variance = np.zeros(8), np.ones(8)
        for sums, batch in zip(told, np.split(x.astype(np.float64), 4), strict=True):
            np.testing.assert_allclose(sums.shift, batch.mean(0) - stored_mean, atol=2e-4)
            np.testing.assert_allclose(sums.batch_variance, batch.var(0), rtol=2e-3)
            kept = 0.9**calls
            stored_mean = kept * stored_mean + (1 - kept) * batch.mean(0)
            stored_variance = kept * stored_variance + (1 - kept) * batch.var(0)


def test_loggers_after_it_write_it_down(tmp_path: Path) -> None:
    x, y = data(64, seed=1)
    log = tmp_path / "log.csv"
    callbacks = [PhaseGapCheck(budget=ALL_OF_IT), keras.callbacks.CSVLogger(str(log))]
    history = network(0.9).fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=callbacks)
    rows = list(csv.DictReader(log.open()))
    for name in ("phase_gap", "phase_gap_noise", "phase_gap_cost"):
        assert [float(row[name]) for row in rows] == history.history[name]
    assert all(math.isfinite(value) for value in history.history["phase_gap"])


def test_without_a_budget_it_looks_at_nothing() -> None:
    check = PhaseGapCheck(budget=1e-9)
    x, y = data(64, seed=1)
    history = network(0.9).fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=[check])
    assert check.layers == {}
    assert all(math.isnan(value) for value in history.history["phase_gap"])
    with pytest.raises(ValueError, match="budget"):
        PhaseGapCheck(budget=0.0)


def endless() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    x, y = data(320, seed=1)
    for start in range(0, 320, 8):
        yield x[start : start + 8], y[start : start + 8]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Keras' own, about data that end
def test_epochs_of_unknown_length_are_looked_at() -> None:
    check = PhaseGapCheck(budget=ALL_OF_IT)
    network(0.999).fit(endless(), epochs=1, verbose=0, callbacks=[check])
    assert kinds(check) == ["too_few_updates"]
    assert "has made 40" in check.said[0].text


def test_several_steps_in_one_execution() -> None:
    model = network(0.999)
    model.compile("adam", "sparse_categorical_crossentropy", steps_per_execution=4)
    check = fit(model, samples=160, batch_size=8, epochs=2)
    assert "has made 40" in check.said[-1].text
    assert sum(len(told) for told in check._told) == 8


def test_layers_that_cannot_be_watched_are_named() -> None:
    inputs = keras.Input((3, 4))
    x = keras.layers.TimeDistributed(keras.layers.BatchNormalization(name="wrapped"), name="each")(inputs)
    x = keras.layers.BatchNormalization(momentum=1.0, name="fixed")(x)
    x = keras.layers.BatchNormalization(trainable=False, name="frozen")(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    model.compile("sgd", "mse")
    check = PhaseGapCheck()
    history = model.fit(np.zeros((8, 3, 4)), np.zeros((8, 1)), verbose=0, callbacks=[check])
    assert set(check.left_out) == {"wrapped", "fixed", "frozen"}
    assert "`each`" in check.left_out["wrapped"]
    assert "phase_gap" not in history.history
