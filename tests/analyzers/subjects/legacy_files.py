"""Small models of Keras 2, each with something that Keras 3 cannot build or builds with another meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras import layers

SAMPLES = 64


def convolutional() -> Any:
    """Settings that Keras 3 does not take, and layers that draw, one of them with a seed of its own."""
    x = inputs = layers.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(6, 3, use_bias=False)(x))
    x = layers.LeakyReLU(alpha=0.1)(x)
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3)(x))
    x = layers.Dropout(0.2, seed=5)(layers.GaussianNoise(0.1)(layers.GlobalAveragePooling2D()(x)))
    return tf_keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def functions() -> Any:
    """Functions of TensorFlow between the layers."""
    inputs = layers.Input((8, 8, 3))
    x = layers.Conv2D(6, 3)((inputs - 1.0) / 2.0)
    x = tf.reduce_mean(tf.nn.relu(layers.BatchNormalization()(x)), [1, 2])
    return tf_keras.Model(inputs, layers.Dense(2, activation="softmax")(tf.concat([x, x * 2.0], axis=-1)))


def recurrent() -> Any:
    """`time_major`, and a `hard_sigmoid` that is another function in Keras 3."""
    x = inputs = layers.Input((3, 4))
    x = layers.LSTM(6, recurrent_activation="hard_sigmoid", return_sequences=True)(layers.BatchNormalization()(x))
    x = layers.BatchNormalization()(layers.Bidirectional(layers.GRU(4))(x))
    return tf_keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def folded() -> Any:
    """A normalization over time, of all steps at once."""
    x = inputs = layers.Input((6, 8))
    x = layers.TimeDistributed(layers.BatchNormalization())(layers.TimeDistributed(layers.Dense(8))(x))
    x = layers.GlobalAveragePooling1D()(x)
    return tf_keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def renormalizing() -> Any:
    """Batch renormalization, with limits that are reached."""
    x = inputs = layers.Input((8,))
    limits = {"rmax": 1.5, "rmin": 0.7, "dmax": 0.5}
    x = layers.BatchNormalization(renorm=True, renorm_clipping=limits)(layers.Dense(12)(x))
    return tf_keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.ReLU()(x)))


def nested() -> Any:
    """Models in models, whose paths have to be found again in the file."""
    inner = tf_keras.Sequential([layers.Conv2D(6, 3), layers.BatchNormalization(), layers.ReLU()], name="features")
    middle_inputs = layers.Input((8, 8, 3))
    middle = tf_keras.Model(middle_inputs, inner(middle_inputs), name="middle")
    inputs = layers.Input((8, 8, 3))
    x = layers.GlobalMaxPooling2D()(middle(inputs))
    return tf_keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def deep() -> Any:
    """Synchronized and plain normalization behind dense layers."""
    synchronized = layers.BatchNormalization(synchronized=True)
    stack = [
        layers.Dense(16, input_shape=(8,)), layers.BatchNormalization(), layers.ReLU(),
        layers.Dense(16, name="second"), synchronized, layers.ReLU(), layers.Dense(2, activation="softmax"),
    ]  # fmt: skip
    return tf_keras.Sequential(stack)


BUILDERS: dict[str, Callable[[], Any]] = {
    f.__name__: f for f in (convolutional, functions, recurrent, folded, renormalizing, nested, deep)
}


def batch_of(name: str) -> dict[str, Any]:
    """Inputs off center and wide, so that untouched statistics are far from them, and labels that they tell."""
    shape = {"recurrent": (3, 4), "folded": (6, 8), "renormalizing": (8,), "deep": (8,)}.get(name, (8, 8, 3))
    x = np.random.default_rng(0).normal(3.0, 4.0, (SAMPLES, *shape)).astype("float32")
    return {"x": x, "y": (x.reshape(SAMPLES, -1).mean(axis=1) > 3.0).astype("int64")}


def trained(name: str) -> tuple[Any, dict[str, Any]]:
    """A model after one epoch of batches of 16, and the batch it was trained on."""
    tf_keras.backend.clear_session()
    tf_keras.utils.set_random_seed(7)
    model, arrays = BUILDERS[name](), batch_of(name)
    model.compile(tf_keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(arrays["x"], arrays["y"], batch_size=16, epochs=1, verbose=0)
    return model, arrays
