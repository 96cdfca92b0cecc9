"""Unusual courses of training: without the training flag, with averaged weights, a head on another domain."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.quality.data import rows
from benchmarks.quality.nets import built, compiled, loss_of, norms
from benchmarks.quality.settings import Recipe, Setting
from benchmarks.quality.training import fit, trained, training_data


def without_training_flag(setting: Setting) -> Any:
    """Every weight trained by a loop that never passes `training=True`: batch normalization was inert."""
    model = built(setting, Recipe())
    x, y = training_data(setting, Recipe())
    loss, optimizer = keras.losses.get(loss_of(setting.head)), keras.optimizers.Adam(3e-3)
    optimizer.build(model.trainable_variables)

    @tf.function  # type: ignore[untyped-decorator]
    def step(a: Any, b: Any) -> None:
        with tf.GradientTape() as tape:
            error = loss(b, model(a, training=False))
        optimizer.apply(tape.gradient(error, model.trainable_variables), model.trainable_variables)

    rng = np.random.default_rng(5)
    for _ in range(12):
        order = rng.permutation(len(y))
        for start in range(0, len(y) - 31, 32):
            chosen = order[start : start + 32]
            step(rows(x, chosen), y[chosen])
    return model


class _Average(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps an average of the trainable weights: exponential by step, or plain over the ends of late epochs."""

    def __init__(self, decay: float | None, first_epoch: int) -> None:
        super().__init__()
        self.decay, self.first_epoch, self.taken = decay, first_epoch, 0
        self.values: list[np.ndarray] = []

    def _take(self, weight: float) -> None:
        now = [np.array(v) for v in self.model.trainable_variables]
        if not self.values:
            self.values = now
        self.values = [old + weight * (new - old) for old, new in zip(self.values, now, strict=True)]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.decay is not None:
            self._take(1 - self.decay)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.decay is None and epoch >= self.first_epoch:
            self.taken += 1
            self._take(1 / self.taken)


def averaged(setting: Setting, decay: float | None, rate: float, epochs: int) -> Any:
    """Weights averaged over training, exponentially or over the last epochs; statistics of the last step."""
    recipe = Recipe(rate=rate, decay=False, epochs=epochs)
    model = built(setting, recipe)
    x, y = training_data(setting, recipe)
    compiled(model, setting.head, rate)
    average = _Average(decay, epochs - 4)
    keras.utils.set_random_seed(100 + setting.seed)
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0, callbacks=[average])
    for variable, value in zip(model.trainable_variables, average.values, strict=True):
        variable.assign(value)
    return model


def head_on_another_domain(setting: Setting, x: Any, y: Any, epochs: int = 8) -> Any:
    """Pre-trained on the setting's own data, then its last layer trained on `x`: statistics frozen by momentum 1."""
    model = trained(setting)
    for norm in norms(model):
        norm.momentum = 1.0
    held = [n for n in model.layers[:-1] if not _holds_norms(n)]
    for layer in held:
        layer.trainable = False
    fit(model, x, y, setting, Recipe(epochs=epochs, rate=1e-2))
    for layer in held:
        layer.trainable = True
    return model


def _holds_norms(layer: Any) -> bool:
    return any(isinstance(n, keras.layers.BatchNormalization) for n in layer._flatten_layers())
