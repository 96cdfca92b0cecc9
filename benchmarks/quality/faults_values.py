"""Values in the statistics that no training leaves there: impossible ones, and conversions gone wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.quality.data import each, rows
from benchmarks.quality.expectations import CONVERTED, CORRUPT, EPSILON, GAP, NONE, OPEN, RECALIBRATE, RESET, fault
from benchmarks.quality.nets import ALL_NETS, DEEP_NETS, TABLE_NETS, built, norms
from benchmarks.quality.registry import mechanism
from benchmarks.quality.settings import Recipe
from benchmarks.quality.specimens import (
    HOLDOUT,
    Order,
    Specimen,
    base,
    batch,
    of_statistics,
    specimen,
    weighed,
)
from benchmarks.quality.training import drawn, trained, training_data, twin

IMPOSSIBLE = {
    "nan": ("moving_variance", np.nan),
    "nan_mean": ("moving_mean", np.nan),
    "infinite": ("moving_mean", np.inf),
    "infinite_variance": ("moving_variance", np.inf),
    "negative": ("moving_variance", -0.6),
    "zero": ("moving_variance", 0.0),
    "huge": ("moving_variance", 1e9),
    "huge_mean": ("moving_mean", 1e5),
}


def _spoil(norm: Any, variant: str, severity: int) -> None:
    name, value = IMPOSSIBLE[variant]
    variable = getattr(norm, name)
    values = np.array(variable)
    values[: (1, 3, max(1, len(values) // 2))[severity]] = value
    variable.assign(values)


def _firm(made: Specimen, variant: str) -> Specimen:
    """An impossible value is one, whatever it moves: only the verdict may be soft."""
    if not made.expect.visible and variant in ("nan", "nan_mean", "infinite", "negative", "infinite_variance"):
        made.expect = made.expect.but(causes=(CORRUPT,), verdicts=(GAP, NONE, OPEN))
    return made


@mechanism(dict.fromkeys(IMPOSSIBLE, 1))
def corrupt(order: Order) -> Specimen:
    """Impossible or absurd values in one layer."""
    model = base(order)
    norm = norms(model)[int(order.rng("layer").integers(len(norms(model))))]
    _spoil(norm, order.variant, order.severity)
    expect = fault(CORRUPT, layers=(norm.name,))
    if order.variant in ("nan", "nan_mean", "infinite", "infinite_variance"):
        expect = expect.but(fixes=(RESET,))
    return _firm(of_statistics(order, model, expect), order.variant)


@mechanism({"nan": 1, "huge": 1}, nets=DEEP_NETS)
def corrupt_several(order: Order) -> Specimen:
    """Impossible or absurd values in two layers."""
    model = base(order)
    chosen = [norms(model)[i] for i in order.rng("layers").choice(len(norms(model)), 2, replace=False)]
    for norm in chosen:
        _spoil(norm, order.variant, order.severity)
    expect = fault(CORRUPT, layers=tuple(norm.name for norm in chosen))
    if order.variant == "nan":
        expect = expect.but(fixes=(RESET,))
    return _firm(of_statistics(order, model, expect), order.variant)


@mechanism({"sample": 2})
def outlier(order: Order) -> Specimen:
    """One broken sample in one of the last batches: its values are in the statistics for good."""
    model = trained(order.setting)
    x, _ = training_data(order.setting, Recipe())
    last = rows(x, slice(0, 32))
    size = (1e3, 1e4, 1e6)[order.severity]
    broken = each(last, lambda a: np.concatenate([a[:1] * size, a[1:]]))
    model(broken, training=True)
    for start in (32, 64, 96)[: order.severity]:
        model(rows(x, slice(start, start + 32)), training=True)
    return of_statistics(order, twin(model), fault(CORRUPT))


def _std(mean: Any, variance: Any) -> tuple[Any, Any]:
    return mean, np.sqrt(variance)


def _square(mean: Any, variance: Any) -> tuple[Any, Any]:
    return mean, variance**2


def _swap(mean: Any, variance: Any) -> tuple[Any, Any]:
    return variance, mean


def _swap_abs(mean: Any, variance: Any) -> tuple[Any, Any]:
    return variance, np.abs(mean)


def _inverse(mean: Any, variance: Any) -> tuple[Any, Any]:
    return mean, 1 / np.sqrt(variance + 1e-3)


CONVERSIONS: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "std": _std, "square": _square, "swap": _swap, "swap_abs": _swap_abs, "inverse": _inverse,
}  # fmt: skip


@mechanism({"std": 2, "square": 1, "swap": 1, "swap_abs": 2, "inverse": 1})
def converted(order: Order) -> Specimen:
    """Statistics in the wrong place or form, in every layer."""
    model = twin(trained(order.setting))
    for norm in norms(model):
        mean, variance = CONVERSIONS[order.variant](np.array(norm.moving_mean), np.array(norm.moving_variance))
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)
    expect = fault(CONVERTED)
    if order.variant == "swap":
        expect = expect.but(causes=(CONVERTED, CORRUPT), fixes=(*expect.fixes, RESET))
    return of_statistics(order, model, expect)


@mechanism({"epsilon": 2}, nets=(*TABLE_NETS, "plain", "separable", "residual", "conv1d"))
def converted_epsilon(order: Order) -> Specimen:
    """Trained with a small epsilon on inputs of tiny variance, rebuilt with Keras' own."""
    recipe = Recipe(epsilon=1e-5, unit=(0.03, 0.01, 0.006)[order.severity])
    source = trained(order.setting, recipe)
    model = built(order.setting, recipe.but(epsilon=1e-3))
    model.set_weights(source.get_weights())
    expect = fault(CONVERTED, causes=(CONVERTED, EPSILON), verdicts=(GAP, NONE))
    sent = drawn(order.setting, recipe, order.samples, f"batch {order.name}")
    holdout = drawn(order.setting, recipe, HOLDOUT, "holdout")
    return weighed(specimen(order, model, expect, sent=sent, holdout=holdout, oracle=twin(source)))


@mechanism({"gamma_beta": 2}, nets=tuple(n for n in ALL_NETS if n != "unet"))
def converted_scale(order: Order) -> Specimen:
    """Gamma and beta swapped: both phases suffer alike, and statistics have nothing to do with it."""
    source = trained(order.setting)
    model = twin(source)
    for norm in norms(model):
        gamma, beta = np.array(norm.gamma), np.array(norm.beta)
        norm.gamma.assign(beta)
        norm.beta.assign(gamma)
    expect = fault(CONVERTED, verdicts=(GAP, NONE, OPEN), fixes=("fix_conversion",))
    expect = expect.but(forbidden_fixes=(*expect.forbidden_fixes, RECALIBRATE, RESET))
    return weighed(specimen(order, model, expect, sent=batch(order), oracle=twin(source)))
