"""Layers that are not Keras' own, registered in this process: kinds of normalization that projects write themselves."""

from __future__ import annotations

from typing import Any

import keras

from benchmarks.zoo.small_models import MOMENTUM, normalization

PACKAGE = "zoo"
registered = keras.saving.register_keras_serializable(package=PACKAGE)


@registered
class GentleNormalization(keras.layers.BatchNormalization):
    """A subclass that adds something of its own behind the normalization."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return 0.5 * super().call(inputs, training=training, mask=mask)


@registered
class NormalizedCell(keras.layers.SimpleRNNCell):
    """A recurrent cell that normalizes its input by the batch, at each step anew."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(units, **options)
        self.norm = normalization("norm")

    def build(self, input_shape: Any) -> None:
        self.norm.build(input_shape)
        super().build(input_shape)

    def call(self, sequence: Any, states: Any, training: bool = False) -> Any:
        return super().call(self.norm(sequence, training=training), states, training=training)

    def get_config(self) -> dict[str, Any]:
        return {"units": self.units, "name": self.name}


@registered
class CenteredCell(keras.layers.SimpleRNNCell):
    """A recurrent cell with a running mean that it subtracts in both phases: no normalization by the batch."""

    def build(self, input_shape: Any) -> None:
        self.running = self.add_weight(shape=input_shape[-1:], initializer="zeros", trainable=False, name="running")
        super().build(input_shape)

    def call(self, sequence: Any, states: Any, training: bool = False) -> Any:
        if training:
            mean = keras.ops.mean(sequence, axis=0)
            self.running.assign(MOMENTUM * self.running + (1.0 - MOMENTUM) * mean)
        return super().call(sequence - self.running, states, training=training)

    def get_config(self) -> dict[str, Any]:
        return {"units": self.units, "name": self.name}


@registered
class RunningScale(keras.layers.Layer):
    """Divides by the largest value seen so far, which only training raises: state that a training pass changes."""

    def build(self, input_shape: Any) -> None:
        self.largest = self.add_weight(shape=(), initializer="ones", trainable=False, name="largest")

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            self.largest.assign(keras.ops.maximum(self.largest, keras.ops.max(keras.ops.abs(inputs))))
        return inputs / self.largest


@registered
class Nested(keras.Model):
    """A subclassed model: no graph, no inputs and outputs that a file could tell."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.first, self.second = keras.layers.Dense(8), keras.layers.Dense(3, activation="softmax")
        self.before, self.after = normalization("before"), normalization("after")

    def call(self, inputs: Any, training: bool = False) -> Any:
        x = self.first(self.before(inputs, training=training))
        return self.second(keras.ops.relu(self.after(x, training=training)))
