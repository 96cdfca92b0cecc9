"""Small models, each ill in one way, on a sample of data on which the illness shows.

A specimen is trained for real, on synthetic data, in seconds; what is then done to it is the fault and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
import numpy as np

CLASSES = 4


@dataclass(frozen=True)
class Specimen:
    """A model, the sample to diagnose it on, and data of the right kind that the diagnosis never sees."""

    model: Any
    x: np.ndarray
    y: np.ndarray
    held_out: tuple[np.ndarray, np.ndarray]
    batch_size: int = 32


def data(samples: int, seed: int, offset: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Images 12 x 12 x 3 in which a bright bar's place is the class; (samples, 12, 12, 3) and (samples,)."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, samples)
    x = rng.normal(offset, 1.0, (samples, 12, 12, 3))
    for i, label in enumerate(y):
        x[i, 3 * label : 3 * label + 2, :, label % 3] += 2.0
    return x.astype("float32"), y.astype("int32")


def network(momentum: float = 0.9, dropout: float = 0.0, seed: int = 7) -> Any:
    """Three convolutions with batch normalization, and a softmax."""
    keras.utils.set_random_seed(seed)
    layers: list[Any] = [keras.Input((12, 12, 3), name="image")]
    for i, width in enumerate((8, 12, 16)):
        layers += [
            keras.layers.Conv2D(width, 3, strides=1 if i == 0 else 2, padding="same", name=f"conv_{i}"),
            keras.layers.BatchNormalization(momentum=momentum, name=f"norm_{i}"),
            keras.layers.ReLU(name=f"relu_{i}"),
        ]
    layers.append(keras.layers.Flatten(name="flat"))
    if dropout:
        layers.append(keras.layers.Dropout(dropout, name="drop"))
    layers.append(keras.layers.Dense(CLASSES, activation="softmax", name="head"))
    return compiled(keras.Sequential(layers, name="net"))


def compiled(model: Any) -> Any:
    """With the loss and metric that the labels of `data` want."""
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def copy_of(model: Any) -> Any:
    """An independent model with the same weights and the same count of optimizer steps."""
    twin = compiled(keras.models.clone_model(model))
    twin.set_weights(model.get_weights())
    twin.optimizer.iterations.assign(model.optimizer.iterations)
    return twin


@cache
def trained(momentum: float = 0.9, epochs: int = 6, dropout: float = 0.0) -> Any:
    """A network fitted to 512 samples, 16 steps an epoch."""
    model = network(momentum, dropout)
    x, y = data(512, seed=1)
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    return model


def norms(model: Any) -> list[Any]:
    """The batch normalization layers."""
    return [n for n in model.layers if isinstance(n, keras.layers.BatchNormalization)]


def _specimen(model: Any, factor: float = 1.0) -> Specimen:
    x, y = data(96, seed=2)
    return Specimen(model, x * np.float32(factor), y, data(256, seed=3))


def healthy() -> Specimen:
    """Converged statistics."""
    return _specimen(copy_of(trained(epochs=12)))


def lagging() -> Specimen:
    """Momentum 0.995 after 96 steps: 62 % of the start is left."""
    return _specimen(copy_of(trained(0.995)))


def never_updated() -> Specimen:
    """Trained weights, statistics put back to 0 and 1."""
    model = copy_of(trained(epochs=12))
    for norm in norms(model):
        norm.moving_mean.assign(np.zeros(norm.moving_mean.shape))
        norm.moving_variance.assign(np.ones(norm.moving_variance.shape))
    return _specimen(model)


def corrupt(value: float = np.nan) -> Specimen:
    """One impossible variance in the middle layer."""
    model = copy_of(trained(epochs=12))
    variance = np.array(norms(model)[1].moving_variance)
    variance[3] = value
    norms(model)[1].moving_variance.assign(variance)
    return _specimen(model)


def untrained() -> Specimen:
    """As it was built."""
    return _specimen(network())


def scaled() -> Specimen:
    """A healthy model, a sample that was never divided by 255."""
    return _specimen(copy_of(trained(epochs=12)), factor=255.0)


def dropping() -> Specimen:
    """A healthy model with much dropout before its head."""
    return _specimen(copy_of(trained(epochs=12, dropout=0.7)))


@cache
def _inert() -> Any:
    """Trained in a loop that never says `training=True`: batch normalization was an identity all along."""
    model = network()
    x, y = data(512, seed=1)
    for norm in norms(model):
        norm.trainable = False
    compiled(model).fit(x, y, batch_size=32, epochs=12, verbose=0)
    for norm in norms(model):
        norm.trainable = True
    return compiled(model)


def inert() -> Specimen:
    """Inference is the good phase, statistics at their start."""
    model = copy_of(_inert())
    norms(model)[0].gamma.assign(np.array(norms(model)[0].gamma) * 1.01)  # gamma is trained in such loops too
    return _specimen(model)


BY_CAUSE: dict[str, Callable[[], Specimen]] = {
    "no_phase_gap": healthy,
    "bn_statistics_unconverged": lagging,
    "bn_statistics_never_updated": never_updated,
    "bn_corrupt_statistics": corrupt,
    "weights_untrained": untrained,
    "input_scaling_mismatch": scaled,
    "stochastic_layers_expected": dropping,
    "bn_trained_in_inference_mode": inert,
}
"""Specimens by the code of their cause; `tests.ailments` has the others."""
