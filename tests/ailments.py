"""More specimens: statistics of other weights and domains, training habits, inputs, labels, heads and metrics."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import numpy as np

from tests import specimens, stray_flags
from tests.specimens import CLASSES, Specimen, compiled, copy_of, data, norms, trained


def _sample(model: Any, x: np.ndarray, y: np.ndarray, batch_size: int = 32) -> Specimen:
    return Specimen(model, x.astype("float32"), y, data(64, seed=3), batch_size)


def pruned() -> Specimen:
    """Half of the weights of every convolution set to zero: the statistics are those of the others."""
    model = copy_of(trained(epochs=12))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel = np.array(layer.kernel)
            kernel[np.abs(kernel) < np.median(np.abs(kernel))] = 0.0
            layer.kernel.assign(kernel)
    return _sample(model, *data(96, seed=2))


def uneven() -> Specimen:
    """Colour channels with gains of their own: no one factor undoes it."""
    x, y = data(96, seed=2)
    return _sample(copy_of(trained(epochs=12)), x * np.array([2.5, 0.2, 1.0]) + np.array([3.0, 0.0, -4.0]), y)


@cache
def _other_domain() -> Any:
    model = copy_of(trained(epochs=12))
    for norm in norms(model):
        norm.momentum = 1.0
    for layer in model.layers[:-1]:
        if not isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    x, y = data(512, seed=1)
    compiled(model).fit(4.0 * x + 6.0, y, batch_size=32, epochs=3, verbose=0)
    return model


def frozen() -> Specimen:
    """Momentum 1.0 under a head that was trained on another domain."""
    x, y = data(96, seed=2)
    return _sample(_other_domain(), 4.0 * x + 6.0, y)


@cache
def _one_by_one() -> tuple[Any, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    y = rng.integers(0, 2, 64)
    ramp = np.linspace(-1, 1, 12)[None, None, :, None]
    x = rng.normal(0, 0.3, (64, 12, 12, 1)) + np.where(y, 1.0, -1.0)[:, None, None, None] * ramp
    x = (x * rng.lognormal(0, 1.0, (64, 1, 1, 1)) + rng.normal(0, 20.0, (64, 1, 1, 1))).astype("float32")
    keras.utils.set_random_seed(3)
    layers: list[Any] = [keras.Input((12, 12, 1))]
    for width in (6, 8):
        layers += [keras.layers.Conv2D(width, 3, 2), keras.layers.BatchNormalization(momentum=0.9), keras.layers.ReLU()]
    model = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")])
    compiled(model).fit(x, y, batch_size=1, epochs=8, verbose=0)
    return model, x, y


def one_by_one() -> Specimen:
    """Trained at batch size 1 on images whose offset and contrast vary more than what tells them apart."""
    model, x, y = _one_by_one()
    return _sample(model, x, y, batch_size=1)


@cache
def _sorted() -> tuple[Any, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    y = np.repeat(np.tile([0, 1], 16), 32)
    directions = rng.normal(0, 1, (2, 16))
    x = directions[y] * rng.normal(0, 2, (1024, 1)) + rng.normal(0, 1, (1024, 16)) + np.where(y, 3, -3)[:, None]
    keras.utils.set_random_seed(3)
    layers: list[Any] = [keras.Input((16,)), keras.layers.BatchNormalization(momentum=0.9)]
    layers += [keras.layers.Dense(64, activation="relu"), keras.layers.Dense(32)]
    layers += [keras.layers.BatchNormalization(momentum=0.9), keras.layers.ReLU()]
    model = keras.Sequential([*layers, keras.layers.Dense(2, activation="softmax")])
    compiled(model).fit(x.astype("float32"), y, batch_size=32, epochs=12, shuffle=False, verbose=0)
    return model, x, y


def in_order() -> Specimen:
    """Every batch of one class: the network reads the class from the batch."""
    model, x, y = _sorted()
    return _sample(model, x[:192], y[:192])


def converted() -> Specimen:
    """Mean and variance swapped, as by a script that takes them in the wrong order."""
    model = copy_of(trained(epochs=12))
    for norm in norms(model):
        mean, variance = np.array(norm.moving_mean), np.array(norm.moving_variance)
        norm.moving_mean.assign(variance)
        norm.moving_variance.assign(np.abs(mean))
    return _sample(model, *data(96, seed=2))


@cache
def _per_step() -> tuple[Any, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    y = rng.integers(0, 2, 256)
    x = rng.normal(0, 1, (256, 6, 8)) + 3.0 * np.arange(6)[None, :, None]
    x[:, :, 0] += np.where(y, 1.5, -1.5)[:, None]
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((6, 8)),
            keras.layers.TimeDistributed(keras.layers.BatchNormalization(momentum=0.5, name="norm"), name="each"),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(2, activation="softmax"),
        ],
        name="steps",
    )
    compiled(model).fit(x.astype("float32"), y, batch_size=32, epochs=10, verbose=0)
    return model, x, y


def per_step() -> Specimen:
    """Batch normalization inside TimeDistributed, on steps with offsets of their own."""
    model, x, y = _per_step()
    return _sample(model, x[:96], y[:96])


def stateful() -> Specimen:
    """A recurrent layer that goes on where the batch before stopped."""
    keras.utils.set_random_seed(3)
    x = keras.Input(batch_shape=(8, 5, 3))
    out = keras.layers.Dense(2, activation="softmax")(keras.layers.LSTM(6, stateful=True)(x))
    rng = np.random.default_rng(8)
    series, y = rng.normal(size=(64, 5, 3)).astype("float32"), rng.integers(0, 2, 64)
    model = compiled(keras.Model(x, out))
    model.fit(series, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    return _sample(model, series, y, batch_size=8)


def penalized() -> Specimen:
    """Most of the loss is the penalty."""
    model = copy_of(trained(epochs=12))
    model.layers[-1].kernel_regularizer = keras.regularizers.L2(1.0)
    model.layers[-1].kernel.regularizer = model.layers[-1].kernel_regularizer
    return _sample(model, *data(96, seed=2))


@cache
def _tiny() -> Any:
    x, y = data(512, seed=1)
    front = keras.layers.BatchNormalization(momentum=0.9, name="front")
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((12, 12, 3)), front, keras.layers.Flatten(), keras.layers.Dense(CLASSES, activation="softmax")]
    )
    model.compile(keras.optimizers.Adam(0.3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(1e-3 * x, y, batch_size=32, epochs=8, verbose=0)
    return model


def tiny() -> Specimen:
    """Inputs a thousandth of what epsilon is made for."""
    x, y = data(96, seed=2)
    return _sample(_tiny(), 1e-3 * x, y)


def renamed() -> Specimen:
    """Class numbers shifted by one."""
    x, y = data(96, seed=2)
    return _sample(copy_of(trained(epochs=12)), x, (y + 1) % CLASSES)


def misaligned() -> Specimen:
    """Labels shuffled apart from their samples."""
    x, y = data(96, seed=2)
    return _sample(copy_of(trained(epochs=12)), x, np.random.default_rng(9).permutation(y))


def misjudged() -> Specimen:
    """Binary accuracy on one-hot labels of a model that is often wrong."""
    model = copy_of(trained(epochs=12))
    model.compile(loss="categorical_crossentropy", metrics=["binary_accuracy"])
    x, y = data(96, seed=2)
    wrong = np.where(np.arange(96) % 3 == 0, (y + np.arange(96) // 3 % 3 + 1) % CLASSES, y)
    return Specimen(model, x, np.eye(CLASSES)[wrong], data(64, seed=3))


def constant() -> Specimen:
    """A softmax over a single unit."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8), keras.layers.Dense(1, activation="softmax")])
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(96, 6)).astype("float32"), rng.integers(0, 2, 96)
    model.fit(x, y, epochs=1, verbose=0)
    model.layers[0].bias.assign(np.full(8, 0.1))
    return _sample(model, x, y)


def unadapted() -> Specimen:
    """A network for standardized inputs behind a Normalization that lost its statistics."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(11)
    y = rng.integers(0, 2, 256)
    x = (rng.normal(0, 1, (256, 4)) + 1.5 * y[:, None]) * np.array([1, 10, 100, 5]) + np.array([5, 100, 1000, 0])
    normalization = keras.layers.Normalization(name="normalization")
    normalization.adapt(x)
    model = compiled(
        keras.Sequential(
            [keras.Input((4,)), normalization, keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")]
        )
    )
    model.fit(x, y, epochs=10, verbose=0)
    lost = keras.layers.Normalization(name="normalization", mean=np.zeros(4), variance=np.ones(4))
    twin = compiled(
        keras.Sequential([keras.Input((4,)), lost, keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")])
    )
    for a, b in zip(twin.layers[1:], model.layers[1:], strict=True):
        a.set_weights(b.get_weights())
    return _sample(twin, x[:96], y[:96])


@cache
def _coloured() -> tuple[Any, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(12)
    y = rng.integers(0, 2, 512)
    x = rng.normal(0, 1.0, (512, 12, 12, 3))
    x[np.arange(512), 2:6, 2:6, np.where(y, 0, 2)[:, None, None]] += 1.5
    model = specimens.network()
    model.fit(x.astype("float32"), y, batch_size=32, epochs=6, verbose=0)
    return model, x, y


def blue_for_red() -> Specimen:
    """BGR images for a model of RGB images."""
    model, x, y = _coloured()
    return _sample(model, x[:96, :, :, ::-1].copy(), y[:96])


BY_CAUSE: dict[str, Callable[[], Specimen]] = {
    **specimens.BY_CAUSE,
    "bn_statistics_stale": pruned,
    "input_distribution_shift": uneven,
    "bn_frozen_domain_shift": frozen,
    "bn_small_batch": one_by_one,
    "bn_batch_composition": in_order,
    "bn_conversion_mismatch": converted,
    "bn_per_timestep": per_step,
    "stateful_layers": stateful,
    "loss_includes_regularization": penalized,
    "epsilon_dominates": tiny,
    "label_mapping_mismatch": renamed,
    "labels_misaligned": misaligned,
    "metric_mismatch": misjudged,
    "degenerate_output": constant,
    "normalization_layer_not_adapted": unadapted,
    "input_channel_order_mismatch": blue_for_red,
    "bn_batch_statistics_at_inference": stray_flags.companions,
    "stochastic_at_inference": stray_flags.restless,
    "numerical_noise": stray_flags.rounded,
}
"""A specimen for each cause, by the cause's code."""
