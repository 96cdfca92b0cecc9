"""Two faults at once: both must be said aloud."""

from __future__ import annotations

import numpy as np

from benchmarks.quality.data import each
from benchmarks.quality.expectations import (
    CORRUPT,
    GAP,
    LABELS,
    LAG,
    MAPPED,
    MATCH,
    NOISY,
    PENALTY,
    RECALIBRATE,
    RESET,
    SCALED,
    fault,
)  # fmt: skip
from benchmarks.quality.nets import DEEP_NETS, norms
from benchmarks.quality.registry import mechanism
from benchmarks.quality.settings import Recipe
from benchmarks.quality.specimens import Order, Specimen, base, batch, of_statistics

PICTURES = ("plain", "separable", "residual", "preact", "nested")
WITH_PENALTY = ("mlp", "deep_mlp", "plain", "separable", "residual", "preact")
SLOW = Recipe(momentum=0.99, epochs=4)


@mechanism({"dropout": 2}, nets=DEEP_NETS)
@mechanism({"penalty": 1}, nets=WITH_PENALTY)
def lag_benign(order: Order) -> Specimen:
    """Too few updates, and dropout or a penalty that is by design."""
    if order.variant == "dropout":
        recipe = SLOW.but(noise="dropout", noise_rate=0.5)
        return of_statistics(order, base(order, recipe), fault(LAG, mention=(NOISY,)), recipe)
    recipe = SLOW.but(penalty=5e-3)
    return of_statistics(order, base(order, recipe), fault(LAG, mention=(PENALTY,)), recipe)


@mechanism({"times_255": 2}, nets=PICTURES)
def lag_scaled(order: Order) -> Specimen:
    """Too few updates, and a sample in another range: repairing on it would ruin the model for its own data."""
    expect = fault(SCALED, causes=(SCALED, LAG), loud=(SCALED, LAG)).bearing(LAG)
    x, y = batch(order)
    return of_statistics(order, base(order, SLOW), expect, SLOW, sent=(each(x, lambda a: a * 255), y))


@mechanism({"huge": 1, "negative": 1}, nets=DEEP_NETS)
def lag_corrupt(order: Order) -> Specimen:
    """Too few updates, and absurd values in one layer."""
    model = base(order, SLOW)
    norm = norms(model)[int(order.rng("layer").integers(len(norms(model))))]
    values = np.array(norm.moving_variance)
    values[: 1 + order.severity] = {"huge": 1e9, "negative": -0.4}[order.variant]
    norm.moving_variance.assign(values)
    expect = fault(CORRUPT, causes=(CORRUPT, LAG), fixes=(RESET, RECALIBRATE), loud=(CORRUPT, LAG)).bearing(LAG)
    return of_statistics(order, model, expect, SLOW)


@mechanism({"next": 2}, nets=DEEP_NETS, heads=("softmax", "logits"))
def lag_mapped(order: Order) -> Specimen:
    """Too few updates, and classes numbered otherwise."""
    expect = fault(LAG, causes=(LAG, MAPPED), fixes=(RECALIBRATE, LABELS), loud=(LAG, MAPPED), verdicts=(GAP,))
    x, y = batch(order)
    expect = expect.bearing(MAPPED).but(forbidden_fixes=(MATCH, "pass_training_flag", "restore_weights"))
    expect = expect.but(repaired="optional")
    shifted = ((y + 1) % order.setting.classes).astype("int32")
    return of_statistics(order, base(order, SLOW), expect, SLOW, sent=(x, shifted))
