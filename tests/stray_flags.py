"""Specimens whose phases are mixed up inside: flags fixed to True, and a pair of phases that differ by rounding."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np

from tests.specimens import CLASSES, Specimen, compiled, copy_of, data, norms, trained


class AlwaysTraining(keras.layers.Layer):
    """A layer that calls the one inside with the flag fixed."""

    def __init__(self, inside: Any, **options: Any) -> None:
        super().__init__(**options)
        self.inside = inside

    def call(self, x: Any) -> Any:
        return self.inside(x, training=True)


def _wired(inside: Any) -> Specimen:
    keras.utils.set_random_seed(3)
    x, y = data(512, seed=1)
    layers = [keras.layers.Flatten(), keras.layers.Dense(16), AlwaysTraining(inside, name="always")]
    model = keras.Sequential([keras.Input((12, 12, 3)), *layers, keras.layers.Dense(CLASSES, activation="softmax")])
    compiled(model).fit(x, y, batch_size=32, epochs=4, verbose=0)
    return Specimen(model, *data(96, seed=2), data(64, seed=3))


@cache
def companions() -> Specimen:
    """Batch normalization that always normalizes by its batch."""
    return _wired(keras.layers.BatchNormalization(name="norm"))


@cache
def restless() -> Specimen:
    """Dropout that never rests."""
    return _wired(keras.layers.Dropout(0.4, name="drop"))


def rounded() -> Specimen:
    """Statistics taken from the sample itself, in one batch: both phases compute the same in another order."""
    model = copy_of(trained(epochs=12))
    x, y = data(96, seed=2)
    for norm in norms(model):
        norm.momentum = 0.0
    model(x, training=True)
    for norm in norms(model):
        norm.momentum = 0.9
        norm.moving_mean.assign(np.array(norm.moving_mean) * np.float32(1 + 1e-6))
    return Specimen(model, x, y, data(64, seed=3), batch_size=96)
