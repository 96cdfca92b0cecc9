"""Models trained one sample at a time: instance normalization is tried, and the printed code builds what was tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import analyzers
from analyzers.remedies._instance_norm import snippet, with_instance_normalization
from analyzers.report import RemedyFinding, Report
from tests import ailments

L = keras.layers
CODE = "replace_with_instance_or_group_norm"


def sequential() -> Any:
    return keras.Sequential([keras.Input((10, 10, 2)), L.Conv2D(5, 3), L.BatchNormalization(), L.Flatten(), L.Dense(2)])


def functional() -> Any:
    inputs = keras.Input((10, 10, 2))
    a = L.BatchNormalization(epsilon=1e-2, scale=False)(L.Conv2D(6, 3, padding="same")(inputs))
    b = L.BatchNormalization(center=False)(L.Conv2D(6, 3, padding="same")(L.ReLU()(a)))
    return keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(L.Add()([a, b]))))


def nested() -> Any:
    inner = keras.Sequential([keras.Input((8, 8, 4)), L.Conv2D(3, 3), L.BatchNormalization(), L.ReLU()], name="deep")
    images = keras.Input((10, 10, 2))
    body = keras.Model(images, inner(L.BatchNormalization()(L.Conv2D(4, 3)(images))), name="body")
    inputs = keras.Input((10, 10, 2))
    return keras.Model(inputs, L.Dense(2)(L.Flatten()(L.BatchNormalization(name="top")(body(inputs)))))


def channels_first() -> Any:
    return keras.Sequential(
        [keras.Input((10, 10, 2)), L.Permute((3, 1, 2)), L.BatchNormalization(axis=1), L.Flatten(), L.Dense(2)]
    )


def partly_frozen() -> Any:
    model = keras.Sequential(
        [keras.Input((10, 10, 2)), L.BatchNormalization(), L.Conv2D(3, 3), L.BatchNormalization(), L.Flatten()]
    )
    model.layers[0].trainable = False
    model.layers[0].moving_mean.assign([1.0, 2.0])
    return model


def shaken(model: Any) -> Any:
    """Gammas and betas of their own, so that none can be mistaken for another."""
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        if weight.name in ("gamma", "beta"):
            weight.assign(rng.normal(1, 0.5, weight.shape))
    return model


def one_by_one(model: Any, x: np.ndarray) -> np.ndarray:
    """The training phase at batch size 1."""
    kept = [np.array(w) for w in model.weights]
    out = np.concatenate([np.array(model(x[i : i + 1], training=True)) for i in range(len(x))])
    for weight, value in zip(model.weights, kept, strict=True):
        weight.assign(value)
    return out


@pytest.mark.parametrize("build", [sequential, functional, nested, channels_first, partly_frozen])
def test_pasted_code_builds_the_training_phase_at_batch_size_1(build: Callable[[], Any], tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = shaken(build())
    x = np.random.default_rng(0).normal(3, 2, (6, 10, 10, 2)).astype("float32")
    model.save(tmp_path / "model.keras")
    exec(compile(snippet().replace("'model", f"'{tmp_path}/model"), "snippet", "exec"), {})
    new = keras.saving.load_model(tmp_path / "model_instance.keras")
    np.testing.assert_allclose(np.array(new(x, training=False)), one_by_one(model, x), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.array(new(x, training=False)), np.array(new(x, training=True)))


def test_rebuilding_leaves_the_model_as_it_was() -> None:
    model = shaken(nested())
    before = [np.array(w) for w in model.weights]
    with_instance_normalization(model)
    assert all(np.array_equal(a, np.array(b)) for a, b in zip(before, model.weights, strict=True))


def remedy(report: Report) -> RemedyFinding:
    return next(r for r in report.remedies if r.code == CODE)


def test_a_model_trained_one_by_one_is_mended_by_instance_normalization() -> None:
    s = ailments.one_by_one()
    report = analyzers.diagnose(s.model, s.x, s.y, batch_size=1)
    assert report.recommended_fix == CODE
    found = remedy(report).verification
    assert found.status == "verified"
    assert found.interval is not None
    assert found.interval[0] > 0
    assert found.after["loss"] == pytest.approx(report.phases.training.loss, rel=1e-3)
    assert "same outputs within" in found.note
    assert not remedy(report).repaired_model
    assert next(c for c in report.checks if c.name == "model_unchanged").passed


def test_without_labels_it_is_not_called_verified() -> None:
    s = ailments.one_by_one()
    report = analyzers.diagnose(s.model, s.x, None, batch_size=1)
    found = [r for r in report.remedies if r.code == CODE]
    assert all(r.verification.status == "not_tested" for r in found)


def test_larger_batches_are_said_to_be_approximated() -> None:
    s = ailments.one_by_one()
    report = analyzers.diagnose(s.model, s.x, s.y, batch_size=2)
    found = [r for r in report.remedies if r.code == CODE]
    assert all("approximation" in r.verification.note for r in found)
