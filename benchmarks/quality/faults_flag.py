"""A training flag hard-wired in the code: batch statistics or noise at inference. Only a SavedModel carries it."""

from __future__ import annotations

from typing import Any

import keras

from benchmarks.quality.expectations import DRAWN, FORCED, fault
from benchmarks.quality.nets import sample
from benchmarks.quality.registry import mechanism
from benchmarks.quality.settings import Recipe
from benchmarks.quality.specimens import Order, Specimen, specimen
from benchmarks.quality.traced import ForcedDropout, ForcedNoise, ForcedNormalization
from benchmarks.quality.training import fit, training_data

L = keras.layers
HEADS = ("softmax", "sigmoid", "real")


def _network(order: Order, first: Any, second: Any, before_head: list[Any]) -> Any:
    setting = order.setting
    keras.utils.set_random_seed(setting.seed)
    x = inputs = keras.Input(sample(setting, 1, "shapes")[0].shape[1:])
    pictures = len(inputs.shape) == 4
    for width, norm in ((14, first), (20, second)):
        x = (L.Conv2D(width, 3, 2, "same") if pictures else L.Dense(2 * width))(x)
        x = L.Activation("relu")(norm(x))
    x = L.Flatten()(x)
    for layer in before_head:
        x = layer(x)
    units = setting.classes if setting.is_classifier else 1
    activation = {"softmax": "softmax", "sigmoid": "sigmoid"}.get(setting.head)
    return keras.Model(inputs, L.Dense(units, activation=activation)(x))


def _plain() -> Any:
    return L.BatchNormalization(momentum=0.9)


def _traced(order: Order, model: Any, cause: str) -> Specimen:
    x, y = training_data(order.setting, Recipe())
    fit(model, x, y, order.setting, Recipe(epochs=6))
    made = specimen(order, keras.models.clone_model(model), fault(cause))
    made.model.set_weights(model.get_weights())
    made.format = "saved_model"
    return made


@mechanism({"all": 2, "one": 2}, nets=("mlp", "deep_mlp", "plain", "residual"), heads=HEADS)
def forced_flag(order: Order) -> Specimen:
    """Batch normalization whose code says `training=True`."""
    first = ForcedNormalization(momentum=0.9)
    second = ForcedNormalization(momentum=0.9) if order.variant == "all" else _plain()
    return _traced(order, _network(order, first, second, []), FORCED)


@mechanism({"dropout": 2, "noise": 1}, nets=("mlp", "deep_mlp", "plain", "residual"), heads=HEADS)
def drawn_flag(order: Order) -> Specimen:
    """Dropout or noise whose code says `training=True`."""
    rate = (0.25, 0.4, 0.5)[order.severity]
    noise = ForcedDropout(rate) if order.variant == "dropout" else ForcedNoise(2 * rate)
    return _traced(order, _network(order, _plain(), _plain(), [noise]), DRAWN)
