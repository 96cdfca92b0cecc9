"""Architectures and the data that they learn, small enough to train by the dozen."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import numpy as np

CLASSES = 5
SAMPLES = 768  # Training samples: 24 steps an epoch at batch size 32.
L = keras.layers


def images(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images 14 x 14 x 3 with values around 0.5, the class in place and colour of a bar; (samples, ...), (samples,)."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, samples)
    x = rng.normal(0.45, 0.12, (samples, 14, 14, 3)) + rng.normal(0, 0.06, (samples, 1, 1, 3))
    x += np.array([0.12, 0.0, -0.10])
    for i, k in enumerate(y):
        x[i, 2 * k + 1 : 2 * k + 4, 2:12, k % 3] += 0.35
    return x.astype("float32"), y.astype("int32")


def tables(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of 20 correlated columns with units of their own; (samples, 20), (samples,)."""
    fixed = np.random.default_rng(99)
    mixing, centers = fixed.normal(0, 1, (20, 20)) / 4, fixed.normal(0, 0.9, (CLASSES, 20))
    offset, unit = fixed.normal(0, 2, 20), fixed.lognormal(0, 0.7, 20)
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, samples)
    x = (centers[y] + rng.standard_t(6, (samples, 20)) @ (np.eye(20) + mixing) + offset) * unit
    return x.astype("float32"), y.astype("int32")


def _mlp(momentum: float, dropout: float) -> list[Any]:
    layers: list[Any] = []
    for width in (48, 32, 24):
        layers += [L.Dense(width), L.BatchNormalization(momentum=momentum), L.ReLU()]
    return [*layers, *([L.Dropout(dropout)] if dropout else [])]


def _plain(momentum: float, dropout: float) -> list[Any]:
    layers: list[Any] = []
    for width, stride in ((10, 1), (16, 2), (24, 2)):
        layers += [L.Conv2D(width, 3, stride, padding="same"), L.BatchNormalization(momentum=momentum), L.ReLU()]
    return [*layers, L.Flatten(), *([L.Dropout(dropout)] if dropout else [])]


def _separable(momentum: float, dropout: float) -> list[Any]:
    layers: list[Any] = [
        L.Conv2D(12, 3, padding="same", use_bias=False),
        L.BatchNormalization(momentum=momentum),
        L.ReLU(),
    ]
    for width in (16, 24):
        layers += [
            L.DepthwiseConv2D(3, 2, padding="same", use_bias=False),
            L.BatchNormalization(momentum=momentum),
            L.ReLU(),
        ]
        layers += [L.Conv2D(width, 1, use_bias=False), L.BatchNormalization(momentum=momentum), L.ReLU()]
    return [*layers, L.Flatten(), *([L.Dropout(dropout)] if dropout else [])]


def _sequential(body: list[Any], shape: tuple[int, ...]) -> Any:
    return keras.Sequential([keras.Input(shape), *body, L.Dense(CLASSES, activation="softmax")])


def _residual(momentum: float, dropout: float) -> Any:
    inputs = keras.Input((14, 14, 3))
    x = L.ReLU()(L.BatchNormalization(momentum=momentum)(L.Conv2D(12, 3, padding="same")(inputs)))
    for width, stride in ((12, 1), (20, 2)):
        side = L.BatchNormalization(momentum=momentum)(L.Conv2D(width, 1, stride, padding="same")(x))
        x = L.ReLU()(L.BatchNormalization(momentum=momentum)(L.Conv2D(width, 3, stride, padding="same")(x)))
        x = L.BatchNormalization(momentum=momentum)(L.Conv2D(width, 3, padding="same")(x))
        x = L.ReLU()(L.Add()([x, side]))
    x = L.GlobalAveragePooling2D()(x) if not dropout else L.Dropout(dropout)(L.Flatten()(x))
    return keras.Model(inputs, L.Dense(CLASSES, activation="softmax")(x))


BUILD: dict[str, Callable[[float, float], Any]] = {
    "mlp": lambda m, d: _sequential(_mlp(m, d), (20,)),
    "plain": lambda m, d: _sequential(_plain(m, d), (14, 14, 3)),
    "separable": lambda m, d: _sequential(_separable(m, d), (14, 14, 3)),
    "residual": _residual,
}


def data(architecture: str, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Data of the kind that the architecture takes."""
    return (tables if architecture == "mlp" else images)(samples, seed)


def compiled(model: Any, rate: float = 3e-3) -> Any:
    """Adam, crossentropy, accuracy."""
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def norms(model: Any) -> list[Any]:
    """The batch normalization layers."""
    return [n for n in model._flatten_layers() if isinstance(n, L.BatchNormalization)]


@cache
def trained(architecture: str, seed: int, momentum: float = 0.9, epochs: int = 10, dropout: float = 0.0) -> Any:
    """A network trained from the seed."""
    keras.utils.set_random_seed(seed)
    model = compiled(BUILD[architecture](momentum, dropout))
    x, y = data(architecture, SAMPLES, 1000 + seed)
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    return model


def copy_of(model: Any, keep_optimizer: bool) -> Any:
    """The same model again; without its optimizer the file would not know how many steps there were."""
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    if keep_optimizer:
        compiled(twin).optimizer.iterations.assign(model.optimizer.iterations)
    return twin
