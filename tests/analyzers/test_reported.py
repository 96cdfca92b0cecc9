"""Figures that users saw are matched to a phase, to another definition or to neither, as far as the sample tells."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import analyzers
from analyzers.report import ReportedFigure
from tests import specimens

SAMPLES, CLASSES = 96, 6


def head(units: int, activation: str | None) -> Any:
    """A model whose logits are its inputs."""
    model = keras.Sequential([keras.Input((units,)), keras.layers.Dense(units, activation, name="head")])
    model.layers[0].set_weights([np.eye(units), np.full(units, 1e-3)])
    return model


def several() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, SAMPLES)
    return (2.0 * np.eye(CLASSES)[y] + rng.normal(0, 1, (SAMPLES, CLASSES))).astype("float32"), y


def one() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, SAMPLES)
    return (0.6 * (2 * y - 1) + rng.normal(0, 0.6, SAMPLES))[:, None].astype("float32"), y


def matched(model: Any, x: np.ndarray, y: np.ndarray, **reported: float) -> dict[str, ReportedFigure]:
    return {f.name: f for f in analyzers.diagnose(model, x, y, reported=reported).phases.reported}


def softmax() -> Any:
    model = head(CLASSES, "softmax")
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def log_sum(z: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.exp(z).sum(axis=1)))


def test_the_compiled_figures_need_no_other_definition() -> None:
    z, y = several()
    right = float(np.mean(z.argmax(axis=1) == y))
    loss = float(np.mean(log_sum(z) - z[np.arange(SAMPLES), y]))
    found = matched(softmax(), z, y, accuracy=round(right, 4), val_loss=round(loss, 4))
    assert {f.reproduced_by for f in found.values()} == {"both"}
    assert {f.definition for f in found.values()} == {None}


def test_accuracy_over_the_entries_of_one_hot_labels() -> None:
    z, y = several()
    likely = np.exp(z - log_sum(z)[:, None])
    entries = float(np.mean((likely > 0.5) == (np.eye(CLASSES)[y] > 0.5)))
    found = matched(softmax(), z, y, accuracy=entries)["accuracy"]
    assert found.reproduced_by == "both"
    assert found.definition is not None
    assert "one-hot" in found.definition
    assert found.inference == pytest.approx(np.mean(z.argmax(axis=1) == y))


def test_accuracy_at_one_half_on_logits() -> None:
    z, y = one()
    model = head(1, None)
    model.compile(
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)],
    )
    found = matched(model, z, y, accuracy=float(np.mean((z[:, 0] > 0.5) == y)))["accuracy"]
    assert found.reproduced_by == "both"
    assert found.definition is not None
    assert "0.5 on logits" in found.definition


def test_loss_of_the_data_without_penalties() -> None:
    z, y = several()
    model = softmax()
    model.layers[0].kernel_regularizer = keras.regularizers.L2(0.1)
    model.layers[0].kernel.regularizer = model.layers[0].kernel_regularizer
    loss = float(np.mean(log_sum(z) - z[np.arange(SAMPLES), y]))
    found = matched(model, z, y, loss=loss + 0.1 * CLASSES, val_loss=loss)
    assert found["loss"].definition is None
    assert found["val_loss"].reproduced_by == "both"
    assert "without penalties" in str(found["val_loss"].definition)


@pytest.mark.parametrize("units", [1, CLASSES])
def test_loss_of_probabilities_taken_for_logits(units: int) -> None:
    z, y = one() if units == 1 else several()
    model = head(units, "sigmoid" if units == 1 else "softmax")
    model.compile(loss="binary_crossentropy" if units == 1 else "sparse_categorical_crossentropy")
    p = np.asarray(model(z), np.float64)
    doubled = np.logaddexp(0, p[:, 0]) - y * p[:, 0] if units == 1 else log_sum(p) - p[np.arange(SAMPLES), y]
    found = matched(model, z, y, loss=float(np.mean(doubled)))["loss"]
    assert found.reproduced_by == "both"
    assert "from_logits=True" in str(found.definition)


def test_accuracy_that_was_never_compiled_and_per_cent() -> None:
    z, y = several()
    model = head(CLASSES, "softmax")
    model.compile(loss="sparse_categorical_crossentropy")
    found = matched(model, z, y, acc=100 * float(np.mean(z.argmax(axis=1) == y)))["acc"]
    assert (found.reproduced_by, found.definition) == ("both", "the share of right decisions")
    assert "per cent" in found.note


def test_a_mean_over_the_epoch_is_of_neither_phase_and_what_cannot_be_computed_is_said() -> None:
    z, y = several()
    found = matched(softmax(), z, y, accuracy=0.31, loss=1.9, auc=0.97)
    assert found["accuracy"].reproduced_by == found["loss"].reproduced_by == "neither"
    assert "mean over an epoch" in found["loss"].note
    assert found["auc"].reproduced_by == "not_computed"


def test_few_samples_leave_room_and_more_leave_less() -> None:
    s = specimens.lagging()
    few = matched(s.model, s.x[:16], s.y[:16], accuracy=0.9)["accuracy"]
    many = matched(s.model, s.x, s.y, accuracy=0.9)["accuracy"]
    assert few.training is not None
    assert many.training is not None
    assert min(float(few.training), float(many.training)) > 0.97
    assert few.reproduced_by in ("both", "training")  # 16 samples know a share of 1.0 to 0.1
    assert many.reproduced_by in ("neither", "inference")


def test_the_phase_that_agrees_to_the_last_digit_has_it() -> None:
    s = specimens.lagging()
    model, x, y = s.model, s.x[:16], s.y[:16]
    phases = analyzers.diagnose(model, x, y).phases
    found = matched(model, x, y, loss=float(phases.training.loss or 0), val_loss=float(phases.inference.loss or 0))
    assert [found[n].reproduced_by for n in ("loss", "val_loss")] == ["training", "inference"]
