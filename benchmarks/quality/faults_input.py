"""Faults of the sample: scaled, shifted, channels reversed. The model is as it should be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.quality.data import Array, each
from benchmarks.quality.expectations import CHANNELS, NONE, OPEN, SCALED, SHIFTED, Expectation, fault, softened
from benchmarks.quality.nets import ALL_NETS, IMAGE_NETS
from benchmarks.quality.registry import mechanism
from benchmarks.quality.settings import Recipe
from benchmarks.quality.specimens import HOLDOUT, SEEN_RMS, Order, Specimen, base, moved, specimen, weighed_by
from benchmarks.quality.training import drawn, outputs

PICTURES = (*IMAGE_NETS, "unet")
TELLING = tuple(net for net in ALL_NETS if not net.startswith("single"))
"""With one normalization in the middle, a sample that moved and statistics that are stale are the same evidence."""

Change = Callable[[Array], Array]


def otherwise(
    order: Order, change: Change, expect: Expectation, recipe: Recipe | None = None, unlabelled: bool = False
) -> Specimen:
    """A healthy model and a sample that is prepared otherwise than its training data."""
    recipe = recipe or Recipe()
    model = base(order, recipe)
    x, y = drawn(order.setting, recipe, order.samples, f"batch {order.name}")
    held, truth = drawn(order.setting, recipe, HOLDOUT, "holdout")
    sent = (each(x, change), None if unlabelled else y)
    made = specimen(order, model, expect, sent=sent, holdout=(held, truth))
    inference, training = (outputs(model, each(held, change), 32, training=t) for t in (False, True))
    made = weighed_by(made, inference, outputs(model, held), truth)
    return _without_gap(made) if moved(inference, training) < SEEN_RMS else made


def _without_gap(made: Specimen) -> Specimen:
    """Where the phases agree on the changed sample, no gap is the right verdict, and a shift cannot be told from it."""
    expect = made.expect
    verdicts = tuple(dict.fromkeys((*expect.verdicts, NONE, OPEN)))
    made.expect = softened(expect) if SHIFTED in expect.causes else expect.but(verdicts=verdicts)
    return made


def _standardized(x: Array) -> Array:
    return (x - x.mean()) / x.std()


SCALINGS: dict[str, Change] = {
    "not_divided": lambda x: x * 255,
    "divided": lambda x: x / 255,
    "standardized": _standardized,
    "to_one": lambda x: 2 * x - 1,
    "raw_to_one": lambda x: x / 127.5 - 1,
    "centred": lambda x: x - x.mean(),
    "caffe": lambda x: x * 255 - 116,
}


def _is_raw(variant: str) -> bool:
    return variant in ("divided", "raw_to_one")


@mechanism(dict.fromkeys(SCALINGS, 1) | {"not_divided": 2}, nets=PICTURES)
def scaled(order: Order) -> Specimen:
    """Pictures in another range than those of the training."""
    recipe = Recipe(unit=255.0) if _is_raw(order.variant) else Recipe()
    return otherwise(order, SCALINGS[order.variant], fault(SCALED), recipe)


@mechanism({"factor": 3, "offset": 1, "unlabelled": 2})
def rescaled(order: Order) -> Specimen:
    """Another unit or zero for all values alike."""
    factor = float(order.rng("factor").choice([(2.0, 0.4), (8.0, 0.1), (1000.0, 0.001)][order.severity]))
    if order.variant == "offset":
        shift = (1.0, 2.0, 4.0)[order.severity]
        return otherwise(order, lambda x: x + shift * x.std(), fault(SCALED, causes=(SCALED, SHIFTED)))
    return otherwise(order, lambda x: x * factor, fault(SCALED), unlabelled=order.variant == "unlabelled")


def _moves(order: Order) -> dict[str, Change]:
    rng, s = order.rng("shift"), order.severity
    gain = rng.lognormal(0, (0.4, 0.7, 1.0)[s], 64)
    offset = rng.normal(0, (0.5, 1.0, 1.5)[s], 64)
    return {
        "gains": lambda x: x * gain[: x.shape[-1]],
        "gains_offsets": lambda x: x * gain[: x.shape[-1]] + offset[: x.shape[-1]] * x.std(),
        "blur": lambda x: _blurred(x, (1, 2, 3)[s]),
        "noise": lambda x: x + np.random.default_rng(3).normal(0, (1.0, 2.0, 3.0)[s] * x.std(), x.shape),
        "gamma": lambda x: np.clip(x, 0, None) ** (2.0, 3.0, 0.4)[s],
        "dark": lambda x: np.clip(x - (0.25, 0.35, 0.45)[s], 0, 1),
    }


def _blurred(x: Array, times: int) -> Array:
    for _ in range(times):
        for axis in (1, 2):
            x = (np.roll(x, 1, axis) + x + np.roll(x, -1, axis)) / 3
    return x


@mechanism({"gains": 3, "gains_offsets": 3, "noise": 2}, nets=TELLING)
def shifted(order: Order) -> Specimen:
    """Columns or channels that are not what they were, each in its own way, or noise."""
    return otherwise(order, _moves(order)[order.variant], fault(SHIFTED))


@mechanism({"blur": 1, "gamma": 2, "dark": 1}, nets=tuple(n for n in TELLING if n in PICTURES))
def lit(order: Order) -> Specimen:
    """Pictures out of focus, in another light. Darker ones are, but for the values that were cut off, an offset."""
    causes = (SHIFTED, SCALED) if order.variant == "dark" else (SHIFTED,)
    return otherwise(order, _moves(order)[order.variant], fault(SHIFTED, causes=causes))


@mechanism({"bgr": 4}, nets=IMAGE_NETS, heads=("softmax", "logits"))
def channels(order: Order) -> Specimen:
    """Blue for red."""
    return otherwise(order, lambda x: x[..., ::-1], fault(CHANNELS))
