"""Findings that are no fault: noise by design, states, penalties, an epsilon that the network was trained with."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from benchmarks.quality.expectations import EPSILON, NO_GAP, NOISY, PENALTY, ROUNDING, STATE, fault
from benchmarks.quality.nets import DEEP_NETS, IMAGE_NETS, compiled, sample
from benchmarks.quality.registry import mechanism
from benchmarks.quality.settings import Recipe
from benchmarks.quality.specimens import HOLDOUT, Order, Specimen, base, specimen, weighed_by
from benchmarks.quality.training import drawn, figures, fit, last_epoch, outputs, training_data

L = keras.layers


def _noisy(order: Order, recipe: Recipe, **more: Any) -> Specimen:
    model = base(order, recipe)
    made = specimen(order, model, fault(NOISY), **more)
    assert made.holdout is not None
    x, y = made.holdout
    keras.utils.set_random_seed(11)
    return weighed_by(made, outputs(model, x, 32, training=True), outputs(model, x), y)


@mechanism({"dropout": 3, "alpha": 1, "product": 1, "gauss": 1})
def by_design(order: Order) -> Specimen:
    """Dropout or noise behind the normalizations."""
    rates = {
        "dropout": (0.4, 0.6, 0.75),
        "alpha": (0.2, 0.3, 0.4),
        "product": (0.4, 0.5, 0.6),
        "gauss": (0.4, 0.7, 1.0),
    }
    return _noisy(order, Recipe(noise=order.variant, noise_rate=rates[order.variant][order.severity], epochs=12))


@mechanism({"dropout_bn": 2}, nets=DEEP_NETS)
@mechanism({"spatial": 1}, nets=IMAGE_NETS)
def by_design_inside(order: Order) -> Specimen:
    """Dropout before normalizations, whose statistics rightly hold its variance."""
    return _noisy(order, Recipe(noise=order.variant, noise_rate=(0.2, 0.35, 0.5)[order.severity], epochs=12))


@mechanism({"augment": 3}, nets=IMAGE_NETS)
def augmented(order: Order) -> Specimen:
    """Augmentation within the model."""
    return _noisy(order, Recipe(noise="augment", epochs=12))


@mechanism({"recurrent": 1}, nets=("recurrent",))
def recurrent_dropout(order: Order) -> Specimen:
    """Dropout within a recurrent layer."""
    return _noisy(order, Recipe(noise="recurrent", noise_rate=(0.3, 0.4, 0.5)[order.severity], epochs=12))


@mechanism({"l2": 3, "reported": 1}, nets=("mlp", "deep_mlp", "plain", "separable", "residual", "preact", "unet"))
def penalty(order: Order) -> Specimen:
    """A loss of which the penalty is a great part."""
    recipe = Recipe(penalty=(1e-3, 3e-3, 1e-2)[order.severity])
    options = {"reported": {"loss": last_epoch(order.setting, recipe)["loss"]}} if order.variant == "reported" else {}
    made = specimen(order, base(order, recipe), fault(PENALTY), options=options)
    part = float(sum(np.asarray(v) for v in made.model.losses))
    loss, _ = figures(outputs(made.model, made.x), made.y, made.head)
    made.facts = {"penalty": part, "loss": loss}
    if part < 0.3 * loss:
        made.expect = made.expect.but(causes=(PENALTY, NO_GAP, None, ROUNDING))
    return made


def _stateful(order: Order) -> Any:
    setting = order.setting
    shape = sample(setting, 1, "shapes")[0].shape[1:]
    keras.utils.set_random_seed(setting.seed)
    inputs = keras.Input(batch_shape=(8, *shape))
    units = (8, 14, 20)[order.severity]
    kind = {"lstm": L.LSTM, "gru": L.GRU, "simple": L.SimpleRNN}[order.variant]
    x = L.LayerNormalization()(inputs)
    if order.rng("stack").integers(2):
        x = kind(units, stateful=True, return_sequences=True)(x)
    x = kind(units, stateful=True)(x)
    return keras.Model(inputs, L.Dense(setting.classes, activation="softmax")(x))


@mechanism({"lstm": 2, "gru": 1, "simple": 1}, nets=("conv1d",), heads=("softmax",))
def state(order: Order) -> Specimen:
    """Recurrent layers that remember the last call."""
    setting, model = order.setting, _stateful(order)
    compiled(model, setting.head, 5e-3)
    x, y = training_data(setting, Recipe())
    for _ in range(4):
        for start in range(0, len(y), 8):
            for layer in model.layers:
                if hasattr(layer, "reset_states"):
                    layer.reset_states()
            model.train_on_batch(x[start : start + 8], y[start : start + 8])
    sent = drawn(setting, Recipe(), order.samples // 8 * 8, f"batch {order.name}")
    return specimen(order, model, fault(STATE), sent=sent, batch_size=8, options={"batch_size": 8})


@mechanism({"dense": 1, "conv": 1}, nets=("conv1d",), heads=("softmax", "sigmoid"))
def spectral(order: Order) -> Specimen:
    """Spectral normalization: every training-phase call iterates, and changes the kernel."""
    setting = order.setting
    keras.utils.set_random_seed(setting.seed)
    inputs = keras.Input(sample(setting, 1, "shapes")[0].shape[1:])
    x = inputs
    for _ in range(2):
        inner = L.Conv1D(12, 5, padding="same") if order.variant == "conv" else L.Dense(16)
        x = L.Activation("relu")(L.SpectralNormalization(inner)(x))
    units, activation = (setting.classes, "softmax") if setting.is_classifier else (1, "sigmoid")
    model = keras.Model(inputs, L.Dense(units, activation=activation)(L.Flatten()(x)))
    x_train, y_train = training_data(setting, Recipe())
    fit(model, x_train, y_train, setting, Recipe(epochs=(2, 4, 8)[order.severity]))
    made = specimen(order, model, fault(STATE).but(causes=(STATE, NO_GAP, None, ROUNDING)))
    return made


@mechanism({"trained_so": 3}, nets=("mlp", "deep_mlp", "input_bn", "plain", "conv1d"))
def epsilon(order: Order) -> Specimen:
    """Inputs so small that epsilon drowns their variance, in training as at inference."""
    recipe = Recipe(unit=(3e-3, 1e-3, 3e-4)[order.severity])
    model = base(order, recipe)
    expect = fault(EPSILON, causes=(EPSILON, NO_GAP, None, ROUNDING), mention=(EPSILON,))
    sent = drawn(order.setting, recipe, order.samples, f"batch {order.name}")
    made = specimen(order, model, expect, sent=sent, holdout=drawn(order.setting, recipe, HOLDOUT, "holdout"))
    return made
