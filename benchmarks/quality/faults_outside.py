"""Faults outside the phases: labels, metrics, weights that are not there, heads that cannot tell."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from benchmarks.quality.expectations import (
    ADAPT,
    CONSTANT,
    GAP,
    MAPPED,
    METRIC,
    MISALIGNED,
    NONE,
    OPEN,
    UNTRAINED,
    fault,
    softened,
)
from benchmarks.quality.nets import ALL_NETS, DEEP_NETS, built, compiled, norms, sample
from benchmarks.quality.registry import mechanism
from benchmarks.quality.settings import Recipe, Setting
from benchmarks.quality.specimens import Order, Specimen, Unfit, base, batch, specimen, weighed_by
from benchmarks.quality.training import figures, fit, outputs, trained, training_data

L = keras.layers
NUMBERED = ("softmax", "logits")


@mechanism({"next": 2, "permuted": 2, "previous": 1}, heads=NUMBERED)
def mapped(order: Order) -> Specimen:
    """Classes numbered otherwise than in training."""
    k, rng = order.setting.classes, order.rng("numbers")
    numbers = (np.arange(k) + {"next": 1, "previous": -1, "permuted": 0}[order.variant]) % k
    while order.variant == "permuted" and ((numbers == np.arange(k)).any() or (k > 3 and _is_shift(numbers))):
        numbers = rng.permutation(k)
    x, y = batch(order)
    return _learned(specimen(order, base(order), fault(MAPPED), sent=(x, numbers[y].astype("int32"))))


def _is_shift(numbers: np.ndarray) -> bool:
    return len(set((numbers - np.arange(len(numbers))) % len(numbers))) == 1


@mechanism({"shuffled": 3, "rolled": 1}, heads=("softmax", "logits", "onehot"))
def misaligned(order: Order) -> Specimen:
    """Labels of other samples."""
    x, y = batch(order)
    other = order.rng("labels").permutation(y) if order.variant == "shuffled" else np.roll(y, 7, 0)
    return _learned(specimen(order, base(order), fault(MISALIGNED), sent=(x, other)))


def _learned(made: Specimen) -> Specimen:
    """Labels can only be doubted by a model that knows better."""
    assert made.holdout is not None
    x, y = made.holdout
    loss, score = figures(outputs(made.model, x), y, made.head)
    made.facts = {"right_loss": loss, "right_score": score}
    if score < 0.7:
        raise Unfit(f"the model scores {score:.2f} on right labels")
    return made


def _as_sold(setting: Setting) -> tuple[str, Any, list[Any]]:
    """The loss or metric that does not fit the head, by head."""
    losses = keras.losses
    return {
        "onehot": ("binary_accuracy", losses.CategoricalCrossentropy(), ["binary_accuracy"]),
        "binlogit": ("accuracy", losses.BinaryCrossentropy(from_logits=True), ["accuracy"]),
        "softmax": ("loss", losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"]),
        "sigmoid": ("loss", losses.BinaryCrossentropy(from_logits=True), ["accuracy"]),
        "logits": ("loss", losses.SparseCategoricalCrossentropy(from_logits=False), ["accuracy"]),
    }[setting.head]


def _unfit(order: Order) -> Specimen:
    model = trained(order.setting)
    _, loss, metrics = _as_sold(order.setting)
    model.compile(keras.optimizers.Adam(), loss, metrics=metrics, jit_compile=False)
    made = specimen(order, model, fault(METRIC))
    p, t = outputs(model, made.x), np.asarray(made.y)
    if order.setting.head == "binlogit" and abs(np.mean((p > 0) == t) - np.mean((p > 0.5) == t)) < 0.02:
        made.expect = softened(made.expect)
    right = np.mean(p.argmax(-1) == t.argmax(-1))
    if order.setting.head == "onehot" and abs(np.mean((p > 0.5) == t) - right) < 0.05:
        made.expect = softened(made.expect)
    return made


@mechanism({"binary_accuracy": 2}, heads=("onehot",))
def metric_of_zeros(order: Order) -> Specimen:
    """Binary accuracy of one-hot labels counts the zeros."""
    return _unfit(order)


@mechanism({"half": 2}, heads=("binlogit",))
def metric_threshold(order: Order) -> Specimen:
    """A threshold of one half on logits."""
    return _unfit(order)


@mechanism({"twice": 3}, heads=("softmax", "sigmoid"))
def loss_of_probabilities(order: Order) -> Specimen:
    """A softmax or sigmoid in the head, and `from_logits=True` in the loss."""
    return _unfit(order)


@mechanism({"never": 2}, heads=("logits",))
def loss_of_logits(order: Order) -> Specimen:
    """Logits taken for probabilities."""
    return _unfit(order)


@mechanism({"all": 3, "compiled": 1})
def untrained(order: Order) -> Specimen:
    """As built."""
    model = built(order.setting, Recipe())
    if order.variant == "compiled":
        compiled(model, order.setting.head)
    return specimen(order, model, fault(UNTRAINED))


@mechanism({"head": 2, "body": 2}, nets=DEEP_NETS)
def partly_untrained(order: Order) -> Specimen:
    """Some layers restored, others as built: the head, or the first half of the body with its normalizations."""
    model, fresh = trained(order.setting), built(order.setting, Recipe(), redrawn=1000)
    pairs = [(a, b) for a, b in zip(model.layers, fresh.layers, strict=True) if a.weights]
    chosen = pairs[-1:] if order.variant == "head" else pairs[: max(2, len(pairs) // 2)]
    for layer, initial in chosen:
        layer.set_weights(initial.get_weights())
    expect = fault(UNTRAINED, verdicts=(GAP, NONE, OPEN), layers=tuple(layer.name for layer, _ in chosen[:1]))
    made = specimen(order, model, expect)
    assert made.holdout is not None
    x, y = made.holdout
    return weighed_by(made, outputs(model, x), outputs(trained(order.setting), x), y)


@mechanism({"columns": 3}, nets=("mlp", "deep_mlp", "input_bn", "single_dense"), heads=("softmax", "sigmoid", "real"))
def not_adapted(order: Order) -> Specimen:
    """A `Normalization` layer at mean 0 and variance 1 before weights that were trained behind an adapted one."""
    setting = order.setting
    x, y = training_data(setting, Recipe())
    keras.utils.set_random_seed(setting.seed)
    inputs, scale = keras.Input(x.shape[1:]), L.Normalization()
    scale.adapt(x)
    h = scale(inputs)
    for units in (32, 24):
        h = L.Dense(units, activation="relu")(h)
        h = L.BatchNormalization(momentum=0.9)(h) if order.severity == 2 else h
    last = {"softmax": setting.classes}.get(setting.head, 1)
    model = keras.Model(inputs, L.Dense(last, activation=None if setting.head == "real" else setting.head)(h))
    fit(model, x, y, setting, Recipe())
    made = specimen(order, model, fault(ADAPT, layers=(scale.name,)))
    assert made.holdout is not None
    held, truth = made.holdout
    right = outputs(model, held)
    width = x.shape[-1]
    forgetful = L.Normalization(mean=np.zeros(width), variance=np.ones(width))
    made.model = _with_first(model, forgetful if order.rng("stored").integers(2) else _unadapted(width))
    made.expect = fault(ADAPT, layers=(made.model.layers[1].name,))
    if norms(model):  # Its statistics see other activations then: the phases differ too.
        made.expect = made.expect.but(verdicts=(NONE, OPEN, GAP)).bearing("bn_statistics_stale")
    return weighed_by(made, outputs(made.model, held), right, truth)


def _unadapted(width: int) -> Any:
    layer = L.Normalization()
    layer.build((None, width))
    layer.finalize_state()
    return layer


def _with_first(model: Any, layer: Any) -> Any:
    """The model with another first layer, uncompiled models staying so."""
    inputs = keras.Input(model.input_shape[1:])
    x = layer(inputs)
    for old in model.layers[2:]:
        x = old(x)
    return keras.Model(inputs, x)


@mechanism({"one_unit": 2}, heads=("sigmoid",))
def softmax_of_one(order: Order) -> Specimen:
    """A softmax over a single unit."""
    model = _one_unit(trained(order.setting))
    return specimen(order, model, fault(CONSTANT))


@mechanism({"zero_head": 2, "dead": 2}, nets=tuple(n for n in ALL_NETS if n != "unet"))
def degenerate(order: Order) -> Specimen:
    """A head whose output is the same for every sample."""
    setting = order.setting
    model = trained(setting)
    if order.variant == "zero_head":
        head = model.layers[-1]
        head.set_weights([np.zeros(w.shape) for w in head.get_weights()])
    else:
        model = _dead(setting, model)
    return specimen(order, model, fault(CONSTANT))


def _one_unit(model: Any) -> Any:
    features = model.layers[-2].output
    twin = keras.Model(model.input, L.Dense(1, activation="softmax")(features))
    twin.compile(keras.optimizers.Adam(), "binary_crossentropy", metrics=["accuracy"], jit_compile=False)
    return twin


def _dead(setting: Setting, model: Any) -> Any:
    """A ReLU that no sample passes before the head."""
    features = L.Dense(12, name="dead", bias_initializer=keras.initializers.Constant(-1e4), activation="relu")(
        model.layers[-2].output
    )
    x = sample(setting, 2, "shapes")[0]
    outs = model.layers[-1].get_config() | {"name": "last"}
    twin = keras.Model(model.input, L.Dense.from_config(outs)(features))
    twin(x)
    return compiled(twin, setting.head)
