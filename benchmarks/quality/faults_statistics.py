"""Faults of the stored statistics: they lag, were never updated, or belong to other weights or another domain."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.quality import courses
from benchmarks.quality.data import each
from benchmarks.quality.expectations import FROZEN, LAG, NEVER, STALE, fault
from benchmarks.quality.nets import ALL_NETS, DEEP_NETS, built, norms
from benchmarks.quality.registry import mechanism
from benchmarks.quality.settings import Recipe
from benchmarks.quality.specimens import HOLDOUT, Order, Specimen, base, batch, of_statistics
from benchmarks.quality.training import drawn, last_epoch, recalibrated, trained, training_data

SEVERAL = tuple(net for net in ALL_NETS if net not in ("input_bn", "single_dense", "single_conv"))


def lag_recipe(order: Order) -> Recipe:
    """Momentum and steps that leave the statistics behind, as the order's variant and severity say."""
    s = order.severity
    if order.variant == "m999":
        return Recipe(momentum=0.999, epochs=(16, 10, 6)[s])
    if order.variant == "moving":
        return Recipe(momentum=0.99, epochs=(6, 4, 3)[s], rate=1e-2, decay=False)
    if order.variant == "small_batch":
        return Recipe(momentum=0.99, batch_size=(8, 10, 12)[s], samples=(160, 120, 96)[s], epochs=(8, 6, 6)[s])
    if order.variant == "one_layer":
        count = len(norms(built(order.setting, Recipe())))
        return Recipe(
            slow_index=int(order.rng("layer").integers(max(1, count - 1))), slow_momentum=(0.999, 0.9995, 0.9999)[s]
        )
    return Recipe(momentum=0.99, epochs=(6, 4, 2)[s])


@mechanism({"m99": 5, "m999": 4, "moving": 2, "small_batch": 2, "unlabelled": 2, "reported": 2})
def lag(order: Order) -> Specimen:
    """Too few updates for the momentum."""
    recipe = lag_recipe(order)
    x, y = batch(order)
    options: dict[str, object] = {}
    if recipe.batch_size != 32:
        options["batch_size"] = recipe.batch_size
    if order.variant == "reported":
        options["reported"] = last_epoch(order.setting, recipe)
    model = base(order, recipe)
    names = tuple(norm.name for norm in norms(model))
    return of_statistics(
        order, model, fault(LAG, layers=names if len(names) == 1 else ()), recipe,
        sent=(x, None if order.variant == "unlabelled" else y), batch_size=recipe.batch_size, options=options,
    )  # fmt: skip


@mechanism({"one_layer": 3}, nets=SEVERAL)
def lag_one(order: Order) -> Specimen:
    """One layer's momentum far too high among others that have converged."""
    recipe = lag_recipe(order)
    model = base(order, recipe)
    return of_statistics(order, model, fault(LAG, layers=(norms(model)[recipe.slow_index].name,)), recipe)


@mechanism({"labelled": 4, "unlabelled": 1})
def never(order: Order) -> Specimen:
    """Statistics at their start under trained weights."""
    model = base(order)
    for norm in norms(model):
        norm.moving_mean.assign(np.zeros(norm.moving_mean.shape))
        norm.moving_variance.assign(np.ones(norm.moving_variance.shape))
    x, y = batch(order)
    return of_statistics(order, model, fault(NEVER), sent=(x, None if order.variant == "unlabelled" else y))


def _pruned(order: Order) -> Any:
    model, share = base(order), (0.5, 0.65, 0.8)[order.severity]
    for layer in model._flatten_layers():
        kernel = getattr(layer, "kernel", None)
        if kernel is not None and layer is not model.layers[-1]:
            values = np.array(kernel)
            values[np.abs(values) < np.quantile(np.abs(values), share)] = 0.0
            kernel.assign(values)
    return model


def _coarse(order: Order) -> Any:
    model, bits = base(order), (2.6, 2.2, 1.9)[order.severity]
    for layer in model._flatten_layers():
        kernel = getattr(layer, "kernel", None)
        if kernel is not None and layer is not model.layers[-1]:
            values = np.array(kernel)
            step = np.abs(values).max() / 2 ** (bits - 1)
            kernel.assign(np.round(values / step) * step)
    return model


def _earlier(order: Order) -> Any:
    model = base(order)
    early = trained(order.setting, Recipe(epochs=(2, 1, 1)[order.severity]))
    for norm, old in zip(norms(model), norms(early), strict=True):
        norm.moving_mean.assign(old.moving_mean)
        norm.moving_variance.assign(old.moving_variance)
    return model


def _rescaled(order: Order) -> Any:
    model, rng = base(order), order.rng("gamma")
    for norm in norms(model)[:-1]:
        norm.gamma.assign(np.array(norm.gamma) * rng.lognormal(0, (0.35, 0.6, 0.9)[order.severity], norm.gamma.shape))
    return model


def _exponential(order: Order) -> Any:
    return courses.averaged(order.setting, (0.98, 0.985, 0.99)[order.severity], 2e-2, 5)


def _plain(order: Order) -> Any:
    return courses.averaged(order.setting, None, (1e-2, 2e-2, 4e-2)[order.severity], 7)


STALE_MODELS = {
    "pruned": _pruned, "coarse": _coarse, "earlier": _earlier, "gamma": _rescaled, "ema": _exponential, "swa": _plain,
}  # fmt: skip


@mechanism({"pruned": 2, "coarse": 1, "earlier": 2, "ema": 2, "swa": 2})
def stale(order: Order) -> Specimen:
    """Statistics of other weights."""
    return of_statistics(order, STALE_MODELS[order.variant](order), fault(STALE))


@mechanism({"gamma": 1}, nets=DEEP_NETS)
def stale_gamma(order: Order) -> Specimen:
    """Scales edited above other normalizations."""
    return of_statistics(order, STALE_MODELS[order.variant](order), fault(STALE))


@mechanism({"gains": 2, "offsets": 2}, nets=tuple(n for n in ALL_NETS if n not in ("nested", "two_inputs")))
def frozen(order: Order) -> Specimen:
    """Statistics of the domain of pre-training, a head trained on another by batch statistics."""
    rng, size = order.rng("domain"), (0.4, 0.7, 1.0)[order.severity]

    def move(x: Any) -> Any:
        gain = gains[: x.shape[-1]] if order.variant == "gains" else 1.0
        return x * gain + offsets[: x.shape[-1]] * unit

    x, y = training_data(order.setting, Recipe())
    unit = float(np.std(x)) if not isinstance(x, dict) else 1.0
    gains, offsets = rng.lognormal(size, size, 64), rng.normal(0, 2 * size, 64)
    model = courses.head_on_another_domain(order.setting, each(x, move), y)
    sent, labels = batch(order)
    held, truth = drawn(order.setting, Recipe(), HOLDOUT, "holdout")
    return of_statistics(
        order, model, fault(FROZEN), sent=(each(sent, move), labels), holdout=(each(held, move), truth),
        oracle=recalibrated(model, each(x, move)),
    )  # fmt: skip
