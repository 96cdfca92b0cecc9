"""Nothing is wrong, in many ways."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from benchmarks.quality import expectations
from benchmarks.quality.data import each
from benchmarks.quality.expectations import NONE, OPEN
from benchmarks.quality.nets import DEEP_NETS, compiled, loss_of, sample
from benchmarks.quality.registry import mechanism
from benchmarks.quality.settings import Recipe
from benchmarks.quality.specimens import HOLDOUT, Order, Specimen, base, batch, of_statistics, specimen
from benchmarks.quality.training import drawn, last_epoch, recalibrated, trained, training_data

L = keras.layers
WITHOUT_BATCHES = {"no_norm": "none", "layer_norm": "layer", "group_norm": "group", "frozen": "frozen"}


def sound(order: Order, recipe: Recipe | None = None, **more: Any) -> Specimen:
    """A specimen of a model that is as it should be."""
    recipe = recipe or Recipe()
    made = specimen(order, base(order, recipe), expectations.healthy(), **more)
    return made


@mechanism({"converged": 15})
def healthy(order: Order) -> Specimen:
    """Converged statistics, on every network."""
    return of_statistics(order, base(order), expectations.healthy())


@mechanism({"sixteen": 2, "unlabelled": 2, "many": 1, "full_batch": 2, "short_batch": 1, "offsets": 1})
def healthy_sample(order: Order) -> Specimen:
    """Samples that are small, large, unlabelled, or in one batch."""
    n = {"sixteen": 16, "many": 400, "full_batch": 128, "short_batch": 70}.get(order.variant, order.samples)
    x, y = batch(order, n)
    more: dict[str, Any] = {"sent": (x, None if order.variant == "unlabelled" else y)}
    if order.variant == "full_batch":
        more |= {"batch_size": n, "options": {"batch_size": n}}
    made = sound(order, **more)
    if order.variant in ("sixteen", "unlabelled"):
        made.expect = made.expect.but(verdicts=(NONE, OPEN))
    return made


@mechanism({"rounding": 1}, nets=DEEP_NETS)
def healthy_rounding(order: Order) -> Specimen:
    """Statistics of just the samples sent, in one batch: the phases differ by rounding only."""
    x, y = batch(order, 128)
    model = recalibrated(trained(order.setting), x)
    return specimen(order, model, expectations.healthy(), sent=(x, y), batch_size=128, options={"batch_size": 128})


@mechanism(dict.fromkeys(WITHOUT_BATCHES, 2), nets=("mlp", "deep_mlp", "plain", "residual", "conv1d", "unet"))
def healthy_norm(order: Order) -> Specimen:
    """Normalizations that do not look at the batch, or none."""
    return sound(order, Recipe(norm=WITHOUT_BATCHES[order.variant]))


@mechanism({"low_momentum": 2, "overfit": 2, "imbalanced": 2, "large_steps": 1, "high_momentum": 1})
def healthy_training(order: Order) -> Specimen:
    """Courses of training that sound suspicious and left nothing behind."""
    recipe = {
        "low_momentum": Recipe(momentum=0.5, epochs=4),
        "overfit": Recipe(samples=96, batch_size=16, epochs=50),
        "imbalanced": Recipe(imbalance=True),
        "large_steps": Recipe(rate=2e-2),
        "high_momentum": Recipe(momentum=0.97, epochs=16),
    }[order.variant]
    purpose = "train" if order.variant == "overfit" else f"batch {order.name}"
    x, y = drawn(order.setting, recipe, recipe.samples if purpose == "train" else order.samples, purpose)
    holdout = drawn(order.setting, recipe, HOLDOUT, "holdout")
    return of_statistics(order, base(order, recipe), expectations.healthy(), recipe, sent=(x, y), holdout=holdout)


@mechanism({"running_average": 2, "true": 1})
def healthy_reported(order: Order) -> Specimen:
    """Figures of an epoch's running average that no phase reproduces, or figures that both do."""
    recipe = Recipe(epochs=1) if order.variant == "running_average" else Recipe()
    return sound(order, options={"reported": last_epoch(order.setting, recipe)})


@mechanism({"heavy": 1}, nets=("mlp", "deep_mlp", "input_bn", "single_dense"))
def healthy_tails(order: Order) -> Specimen:
    """Inputs with tails so heavy that any one sample moves the statistics."""
    x, y = training_data(order.setting, Recipe())
    model = trained(order.setting)
    compiled(model, order.setting.head, 1e-3)

    def stretched(a: Any) -> Any:
        z = (a - a.mean(0)) / a.std(0)
        return np.sign(z) * np.abs(z) ** 1.6 * a.std(0) + a.mean(0)

    model.fit(each(x, stretched), y, batch_size=32, epochs=4, verbose=0)
    compiled(model, order.setting.head, 1e-4).fit(each(x, stretched), y, batch_size=32, epochs=3, verbose=0)
    sent, labels = batch(order)
    return specimen(order, model, expectations.healthy(), sent=(each(sent, stretched), labels))


@mechanism({"classes_and_real": 1}, nets=("mlp", "plain", "residual", "conv1d"), heads=("softmax",))
def healthy_two_outputs(order: Order) -> Specimen:
    """Two heads on one body, each with a loss of its own."""
    setting = order.setting
    single = trained(setting)
    features, first = single.layers[-2].output, single.layers[-1].name
    outs = {first: single.layers[-1].output, "side": L.Dense(1, activation="sigmoid", name="side")(features)}
    model = keras.Model(single.input, outs)
    x, y = training_data(setting, Recipe())
    losses = {first: loss_of("softmax"), "side": "binary_crossentropy"}
    rate = keras.optimizers.schedules.CosineDecay(3e-3, 144)
    model.compile(keras.optimizers.Adam(rate), losses, jit_compile=False)
    model.fit(x, {first: y, "side": (y % 2)[:, None].astype("float32")}, batch_size=32, epochs=6, verbose=0)
    sent, labels = sample(setting, order.samples, f"batch {order.name}")
    both = {first: labels, "side": (labels % 2)[:, None].astype("float32")}
    return specimen(order, model, expectations.healthy(), sent=(sent, both))
