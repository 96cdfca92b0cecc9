"""Faults of how the network was trained: BN inert, tiny batches, batches that are no fair sample, a wrong structure."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from benchmarks.quality import courses
from benchmarks.quality.data import rows
from benchmarks.quality.expectations import FORCED, INERT, SMALL, SORTED, STEPS, fault, softened
from benchmarks.quality.nets import compiled, sample
from benchmarks.quality.registry import mechanism
from benchmarks.quality.settings import Recipe
from benchmarks.quality.specimens import (
    HOLDOUT,
    LEARNED,
    LEARNED_CLASSES,
    Order,
    Specimen,
    Unfit,
    base,
    specimen,
    weighed,
    weighed_by,
)
from benchmarks.quality.training import by_class, drawn, figures, fit, outputs, recalibrated, training_data

L = keras.layers


@mechanism(
    {"loop": 4}, nets=("mlp", "deep_mlp", "plain", "separable", "residual", "preact", "conv1d", "unet", "nested")
)
def inert(order: Order) -> Specimen:
    """Trained by a loop that never said `training=True`: inference is the good phase."""
    model = courses.without_training_flag(order.setting)
    x, _ = training_data(order.setting, Recipe())
    made = weighed(specimen(order, model, fault(INERT), oracle=recalibrated(model, x)))
    made.oracle = None  # Recalibrating is the damage here, not the aim.
    return made


def _as_trained(made: Specimen, recipe: Recipe) -> Specimen:
    """Weigh inference against the training phase in the batches that the network knew."""
    assert made.holdout is not None
    x, y = made.holdout
    theirs = outputs(made.model, x, recipe.batch_size, training=True)
    return weighed_by(made, outputs(made.model, x), theirs, y)


@mechanism(
    {"one": 2, "two": 2, "four": 1}, nets=("plain", "separable", "residual", "preact", "single_conv", "unet"),
    heads=("softmax", "logits", "onehot", "sigmoid", "binlogit", "mask"),
)  # fmt: skip
def small_batch(order: Order) -> Specimen:
    """Trained on batches of one, two or four images that differ more in light than in content."""
    size = {"one": 1, "two": 2, "four": 4}[order.variant]
    recipe = Recipe(
        batch_size=size, samples=256, epochs=(4, 5, 6)[order.severity], vary=(0.3, 0.6, 0.9)[order.severity]
    )
    sent = drawn(order.setting, recipe, order.samples // size * size, f"batch {order.name}")
    made = specimen(
        order, base(order, recipe), fault(SMALL), sent=sent, batch_size=size, options={"batch_size": size},
        holdout=drawn(order.setting, recipe, HOLDOUT, "holdout"),
    )  # fmt: skip
    return _as_trained(made, recipe)


@mechanism({"dense": 2}, nets=("mlp", "deep_mlp", "single_dense", "input_bn"))
def small_batch_rows(order: Order) -> Specimen:
    """Trained on rows two or four at a time: the training phase is the noisy one, and no gap need be seen."""
    size = (4, 2, 2)[order.severity]
    recipe = Recipe(batch_size=size, samples=384, epochs=4)
    made = specimen(order, base(order, recipe), fault(SMALL), batch_size=size, options={"batch_size": size})
    made.expect = softened(made.expect)
    _, score = figures(outputs(made.model, made.holdout[0]), made.holdout[1], made.head) if made.holdout else (0, 0.0)
    if score < LEARNED.get(made.head, LEARNED_CLASSES):
        raise Unfit(f"the model scores {score:.2f}")
    return made


@mechanism(
    {"sorted": 3},
    nets=("plain", "separable", "residual", "preact", "single_conv", "conv1d"),
    heads=("softmax", "logits"),
)
def composition(order: Order) -> Specimen:
    """Batches of one class each, in training and in the sample."""
    recipe = Recipe(order="sorted", batch_size=(48, 32, 32)[order.severity])
    return _in_order(order, recipe, 4 * recipe.batch_size)


@mechanism({"pure": 3}, nets=("mlp", "deep_mlp", "input_bn", "plain", "separable", "residual", "conv1d", "recurrent"))
def domains(order: Order) -> Specimen:
    """Batches from one of two domains each, in training and in the sample."""
    return _in_order(order, Recipe(order="pure"), (64, 128, 192)[order.severity])


def _in_order(order: Order, recipe: Recipe, n: int) -> Specimen:
    def arranged(count: int, purpose: str) -> tuple[Any, Any]:
        x, y = drawn(order.setting, recipe, count, purpose)
        kept = by_class(y) if recipe.order == "sorted" else np.arange(count)
        return rows(x, kept), y[kept]

    size = recipe.batch_size
    made = specimen(
        order, base(order, recipe), fault(SORTED), sent=arranged(n, f"batch {order.name}"), batch_size=size,
        options={"batch_size": size}, holdout=arranged(12 * size, "holdout"),
    )  # fmt: skip
    return _as_trained(made, recipe)


def _trend(x: Any) -> Any:
    """A rise over the steps of a series, so that no step's statistics are another's."""
    return (x + 2.5 * x.std() * np.linspace(0, 3, x.shape[1])[:, None]).astype("float32")


@mechanism({"first": 2, "inside": 1}, nets=("conv1d",), heads=("softmax", "sigmoid"))
def per_timestep(order: Order) -> Specimen:
    """Batch normalization wrapped in `TimeDistributed`: one update a step, and the last step has the last word."""
    setting, k = order.setting, (0.5, 0.9, 0.99)[order.severity]
    shape = sample(setting, 1, "shapes")[0].shape[1:]
    keras.utils.set_random_seed(setting.seed)
    inputs = keras.Input(shape)
    wrapped = L.TimeDistributed(L.BatchNormalization(momentum=k), name="each")
    x = wrapped(inputs) if order.variant == "first" else wrapped(L.TimeDistributed(L.Dense(14))(inputs))
    x = L.Conv1D(16, 5, padding="same", activation="relu")(x)
    x = L.Flatten()(L.MaxPooling1D(2)(L.Conv1D(16, 5, padding="same", activation="relu")(x)))
    units, activation = (setting.classes, "softmax") if setting.is_classifier else (1, "sigmoid")
    model = keras.Model(inputs, L.Dense(units, activation=activation)(x))
    train, labels = training_data(setting, Recipe())
    fit(model, _trend(train), labels, setting, Recipe(rate=5e-3))
    sent, truth = drawn(setting, Recipe(), order.samples, f"batch {order.name}")
    held, answers = drawn(setting, Recipe(), HOLDOUT, "holdout")
    inner = wrapped.layer.name
    made = specimen(
        order, model, fault(STEPS, layers=(f"each/{inner}|each|{inner}",)), sent=(_trend(sent), truth),
        holdout=(_trend(held), answers),
    )  # fmt: skip
    return _as_trained(made, Recipe())


def _by_hand(x: Any) -> Any:
    """Normalization by the batch itself, as it is written by hand; Keras saves the operations in the file."""
    mean = keras.ops.mean(x, axis=0, keepdims=True)
    variance = keras.ops.mean(keras.ops.square(x - mean), axis=0, keepdims=True)
    return (x - mean) / keras.ops.sqrt(variance + 1e-3)


@mechanism({"by_hand": 3}, nets=("mlp", "input_bn", "single_dense"), heads=("softmax", "sigmoid", "real"))
def forced(order: Order) -> Specimen:
    """A normalization written by hand that has no statistics: it takes the batch's at inference too."""
    setting = order.setting
    keras.utils.set_random_seed(setting.seed)
    inputs = keras.Input(sample(setting, 1, "shapes")[0].shape[1:])
    x = L.Activation("relu")(_by_hand(L.Dense(32)(inputs)))
    if order.variant == "by_hand" and order.severity:
        x = L.Activation("relu")(_by_hand(L.Dense(24)(x)))
    units = setting.classes if setting.is_classifier else 1
    activation = {"softmax": "softmax", "sigmoid": "sigmoid"}.get(setting.head)
    model = keras.Model(inputs, L.Dense(units, activation=activation)(x))
    x_train, y_train = training_data(setting, Recipe())
    fit(model, x_train, y_train, setting, Recipe())
    compiled(model, setting.head)
    made = specimen(order, model, fault(FORCED))
    made.format = "keras"  # Keras itself cannot read its operations back from HDF5.
    return made
