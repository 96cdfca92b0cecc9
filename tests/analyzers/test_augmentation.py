"""Augmentation inside the model, as the training phase draws it, is no fault of the statistics nor of the sample."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest

import analyzers
from analyzers.errors import BatchMismatch
from analyzers.running import explained

L = keras.layers
LAYERS: dict[str, Callable[[], keras.Layer]] = {
    "inverts most colours": lambda: L.Solarization(threshold_factor=0.5),
    "draws with Python's generator": L.AugMix,
    "draws once a batch": L.RandAugment,
}


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three classes of tint, (count, 12, 12, 3) from 0 to 255; pictures differ in their light."""
    rng, tints = np.random.default_rng(seed), np.random.default_rng(0).normal(size=(3, 3))
    y = rng.integers(0, 3, count)
    light = 0.3 * rng.normal(size=(count, 1, 1, 1))
    x = rng.normal(size=(count, 12, 12, 3)) + light + tints[y][:, None, None]
    return np.clip(128 + 40 * x, 0, 255).astype("float32"), y


@pytest.mark.parametrize("name", LAYERS)
def test_a_model_that_augments_is_healthy(name: str) -> None:
    keras.utils.set_random_seed(0)
    layers = [
        LAYERS[name](),
        L.Rescaling(1 / 64),
        L.BatchNormalization(momentum=0.9),
        L.Flatten(),
        L.Dense(8),
        L.BatchNormalization(momentum=0.9),
        L.ReLU(),
        L.Dense(3, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input((12, 12, 3)), *layers])
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*pictures(512, 1), batch_size=32, epochs=6, verbose=0)
    report = analyzers.diagnose(model, *pictures(64, 2))
    assert {c.name: c.passed for c in report.checks}["replay_identity"] is True
    assert [c.code for c in report.causes if c.severity != "info"] == []
    assert report.phases.difference.by_mechanism.augmentation > 0.0


def test_statistics_in_half_precision_are_replayed_as_closely_as_they_are_stored() -> None:
    policy = keras.DTypePolicy("float16")
    layers = [L.Dense(8, dtype=policy), L.BatchNormalization(dtype=policy), L.Dense(3, dtype=policy)]
    x = np.random.default_rng(0).normal(3, 2, (32, 6)).astype("float16")
    report = analyzers.diagnose(keras.Sequential([keras.Input((6,), dtype="float16"), *layers]), x)
    assert {c.name: c.passed for c in report.checks}["replay_identity"] is True


def test_an_error_of_tensorflow_is_told_by_what_is_wrong() -> None:
    model = keras.Sequential([keras.Input((4,), dtype="int32"), L.Embedding(5, 2)])
    with pytest.raises(BatchMismatch, match="was given 9 and knows 0 to 4"), explained():
        model.predict(np.array([[1, 2, 3, 9]]), verbose=0)
