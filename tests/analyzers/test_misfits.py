"""Metrics and losses that do not fit the head are known by what they are, and fitting ones are left alone."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from analyzers.evaluation import Compiled, Evaluator
from analyzers.outputs import Outputs
from analyzers.probes.misfits import misfits
from analyzers.symptoms import MetricFacts

losses, metrics = keras.losses, keras.metrics
SAMPLES, CLASSES = 64, 5


def head(units: int, activation: str | None, *positions: int) -> Any:
    """A linear model of its inputs: what is fed is what comes out, before the activation."""
    model = keras.Sequential([keras.Input((*positions, units)), keras.layers.Dense(units, activation)])
    model.layers[0].set_weights([np.eye(units), np.zeros(units)])
    return model


def found(model: Any, z: np.ndarray, y: np.ndarray, loss: Any, names: list[Any]) -> list[MetricFacts]:
    out = model(z.astype("float32"), training=False)
    attached = getattr(out, "_keras_logits", None)
    logits = None if attached is None else np.asarray(attached, np.float64)
    outputs = Outputs([np.asarray(out, np.float64)], [logits])
    return misfits(model, Evaluator(Compiled(loss, names), ["out"], [y], None), outputs)


def several(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a fair classifier, and the classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, SAMPLES)
    return 1.5 * np.eye(CLASSES)[y] + rng.normal(0, 1, (SAMPLES, CLASSES)), y


def one(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a fair binary classifier, (samples, 1), and the classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, SAMPLES)
    return (0.7 * (2 * y - 1) + rng.normal(0, 0.7, SAMPLES))[:, None], y


def hot(y: np.ndarray) -> np.ndarray:
    return np.eye(CLASSES)[y]


LOGITS = losses.BinaryCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    ("reason", "activation", "loss", "metric"),
    [
        ("entries", "sigmoid", "binary_crossentropy", "binary_accuracy"),
        ("entries", "softmax", "categorical_crossentropy", metrics.BinaryAccuracy()),
        ("class_numbers", "softmax", "sparse_categorical_crossentropy", "categorical_accuracy"),
        ("never", None, losses.SparseCategoricalCrossentropy(from_logits=True), "sparse_categorical_crossentropy"),
    ],
)
def test_metrics_of_several_units(reason: str, activation: str | None, loss: Any, metric: Any) -> None:
    z, y = several()
    labels = hot(y) if "entries" in reason else y
    fact = next(m for m in found(head(CLASSES, activation), z, labels, loss, [metric]) if not m.loss)
    assert fact.reason == reason
    if reason in ("entries", "class_numbers"):
        assert fact.fitting_value == pytest.approx(np.mean(z.argmax(axis=1) == y))
    assert abs(fact.value - fact.fitting_value) > 0.02


@pytest.mark.parametrize("shape", [(SAMPLES,), (SAMPLES, 1)])
@pytest.mark.parametrize(
    ("reason", "activation", "loss", "metric"),
    [
        ("threshold", None, LOGITS, "accuracy"),
        ("threshold", None, LOGITS, metrics.BinaryAccuracy()),
        ("threshold", None, LOGITS, metrics.Recall()),
        ("threshold", None, "hinge_with_0_and_1", "binary_accuracy"),
        ("one_unit", "sigmoid", "binary_crossentropy", "categorical_accuracy"),
        ("one_unit", "sigmoid", "binary_crossentropy", "sparse_categorical_accuracy"),
        ("equality", "sigmoid", "binary_crossentropy", metrics.Accuracy()),
        ("class_ids", "sigmoid", "binary_crossentropy", metrics.MeanIoU(2)),
    ],
)
def test_metrics_of_one_unit(reason: str, activation: str | None, loss: Any, metric: Any, shape: Any) -> None:
    z, y = one()
    loss = LOGITS if loss == "hinge_with_0_and_1" else loss
    (fact,) = found(head(1, activation), z, y.reshape(shape), loss, [metric])
    assert fact.reason == reason
    positive = z[:, 0] > 0
    overlaps = [np.sum((positive == c) & (y == c)) / np.sum((positive == c) | (y == c)) for c in (0, 1)]
    right = {"Recall": np.mean(positive[y == 1]), "MeanIoU": np.mean(overlaps)}
    assert fact.fitting_value == pytest.approx(right.get(type(metric).__name__, np.mean(positive == y)))


@pytest.mark.parametrize(
    ("reason", "units", "activation", "loss"),
    [
        ("twice", 1, "sigmoid", LOGITS),
        ("twice", CLASSES, "softmax", losses.SparseCategoricalCrossentropy(from_logits=True)),
        ("never", 1, None, "binary_crossentropy"),
        ("never", CLASSES, None, "sparse_categorical_crossentropy"),
        ("one_unit", 1, "sigmoid", "categorical_crossentropy"),
    ],
)
def test_losses(reason: str, units: int, activation: str | None, loss: Any) -> None:
    z, y = one() if units == 1 else several()
    (fact,) = found(head(units, activation), z, y[:, None] if units == 1 else y, loss, [])
    assert (fact.loss, fact.reason) == (True, reason)
    if units == 1:
        right = np.mean(np.logaddexp(0, z[:, 0]) - y * z[:, 0])
    else:
        right = np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(SAMPLES), y])
    assert fact.fitting_value == pytest.approx(right, rel=1e-4)
    assert abs(fact.value - right) > 0.05 * right


def test_keras_takes_the_logits_that_it_finds_and_that_is_said() -> None:
    z, y = one()
    (fact,) = found(head(1, "sigmoid"), z, y, LOGITS, [])
    assert fact.printed == pytest.approx(fact.fitting_value, rel=1e-4)
    assert fact.value != pytest.approx(fact.fitting_value, rel=0.05)


@pytest.mark.parametrize(
    ("units", "activation", "loss", "names"),
    [
        (CLASSES, "softmax", "sparse_categorical_crossentropy", ["accuracy", "sparse_top_k_categorical_accuracy"]),
        (CLASSES, None, losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"]),
        (1, "sigmoid", "binary_crossentropy", ["accuracy", metrics.AUC(), metrics.Precision(), "mse"]),
        (1, None, LOGITS, [metrics.BinaryAccuracy(threshold=0.0), metrics.AUC(from_logits=True)]),
        (1, None, "mse", ["mae", "accuracy"]),
    ],
)
def test_what_fits_is_left_alone(units: int, activation: str | None, loss: Any, names: list[Any]) -> None:
    z, y = one() if units == 1 else several()
    assert found(head(units, activation), 0.5 + 0.4 * z if loss == "mse" else z, y, loss, names) == []


def test_one_hot_labels_with_their_own_metrics_are_left_alone() -> None:
    z, y = several()
    names = ["accuracy", metrics.AUC(), metrics.F1Score()]
    assert found(head(CLASSES, "softmax"), z, hot(y), "categorical_crossentropy", names) == []


def test_entries_are_what_is_wanted_where_each_unit_decides_for_itself() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, (SAMPLES, CLASSES))
    z = 2.0 * y - 1 + rng.normal(0, 1, y.shape)
    model = head(CLASSES, "sigmoid")
    assert found(model, z, y, "binary_crossentropy", ["binary_accuracy", metrics.AUC(multi_label=True)]) == []
    (fact,) = found(model, z, y, "binary_crossentropy", ["accuracy"])
    assert fact.reason == "several"
    assert fact.fitting_value == pytest.approx(np.mean((z > 0) == y))


def test_masks_are_left_alone_and_masks_of_logits_are_not() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, (8, 6, 6, 1))
    z = 1.2 * y - 0.6 + rng.normal(0, 0.5, y.shape)
    assert found(head(1, "sigmoid", 6, 6), z, y, "binary_crossentropy", ["accuracy", metrics.BinaryIoU()]) == []
    facts = found(head(1, None, 6, 6), z, y, LOGITS, ["accuracy", metrics.BinaryIoU()])
    assert [m.reason for m in facts] == ["threshold", "threshold"]
    assert facts[0].fitting_value == pytest.approx(np.mean((z > 0) == y))


def test_signs_are_no_zeros_and_ones() -> None:
    z, y = one()
    (fact,) = found(head(1, "tanh"), z, 2 * y - 1, "hinge", ["accuracy"])
    assert fact.reason == "signs"
    assert fact.fitting_value == pytest.approx(np.mean((z[:, 0] > 0) == y))


def test_each_output_has_its_own() -> None:
    z, y = one()
    x = keras.Input((1,))
    good, bad = keras.layers.Dense(1, "sigmoid", name="good")(x), keras.layers.Dense(1, name="bad")(x)
    model = keras.Model(x, [good, bad])
    for layer in model.layers[1:]:
        layer.set_weights([np.eye(1), np.zeros(1)])
    first, second = (np.asarray(o, np.float64) for o in model(z, training=False))
    compiled = Compiled({"good": "binary_crossentropy", "bad": LOGITS}, {"good": ["accuracy"], "bad": ["accuracy"]})
    facts = misfits(model, Evaluator(compiled, ["good", "bad"], [y, y], None), Outputs([first, second], [z, None]))
    assert [m.name for m in facts] == ["bad: accuracy"]
