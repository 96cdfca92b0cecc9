"""A specimen: a model, what is sent beside it, a hold-out that is never sent, and what a right answer is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.quality.data import Inputs
from benchmarks.quality.expectations import Expectation, softened
from benchmarks.quality.nets import compiled, sample
from benchmarks.quality.settings import LOSS, METRICS, Recipe, Setting, stream
from benchmarks.quality.traced import MECHANISMS
from benchmarks.quality.training import figures, outputs, recalibrated, trained, training_data

HOLDOUT = 400
SIZES = (40, 64, 96, 128, 160, 200)
"""Samples that people send."""

SEEN_SCORE, SEEN_LOSS, SEEN_RMS = 0.02, 0.05, 0.5
"""A fault is seen on the hold-out where accuracy (R2), the loss (nats or squared error) or the outputs (RMS in units of
their spread) move by this much. Mini-batches of 32 alone move the outputs of healthy networks by 0.1 to 0.2."""

LEARNED = {"real": 0.25, "sigmoid": 0.7, "binlogit": 0.7, "mask": 0.9}
LEARNED_CLASSES = 0.5
"""The least score on the hold-out of a model without its fault: one that learned nothing shows nothing."""

WORSE = 0.015
"""Accuracy that the right statistics may cost: where they cost more they are no cure, and the label would be wrong."""


class Unfit(Exception):  # noqa: N818
    """The specimen does not show what its label says, so it is not used."""


@dataclass(frozen=True)
class Order:
    """What is to be made: a mechanism's variant on a network, with a seed; severity counts 0, 1, 2 from mild."""

    mechanism: str
    variant: str
    net: str
    seed: int
    severity: int
    heads: tuple[str, ...]

    @property
    def name(self) -> str:
        """A folder's name."""
        return f"{self.mechanism}.{self.variant}-{self.net}-{self.seed}-{self.severity}"

    def rng(self, *purpose: object) -> np.random.Generator:
        """Random numbers of this order's own."""
        return stream(self.name, *purpose)

    @property
    def setting(self) -> Setting:
        """Network, head and seed; the head is the same for all mechanisms on a network that accept it."""
        drawn = str(stream(self.net, self.seed, "head").choice(self.heads))
        return Setting(self.net, drawn, self.seed)

    @property
    def samples(self) -> int:
        """Samples sent."""
        return int(self.rng("samples").choice(SIZES))


@dataclass
class Specimen:
    """See the module. `oracle` is the model as it should be, where there is such a one."""

    order: Order
    model: Any
    x: Inputs
    y: Any
    expect: Expectation
    batch_size: int = 32
    options: dict[str, Any] = field(default_factory=dict)
    holdout: tuple[Inputs, Any] | None = None
    oracle: Any = None
    format: str = "keras"
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def head(self) -> str:
        """How outputs are scored."""
        return self.order.setting.head


Make = Callable[[Order], Specimen]


def batch(order: Order, n: int | None = None, **options: Any) -> tuple[Inputs, Any]:
    """The samples sent, before anything is done to them."""
    return sample(order.setting, n or order.samples, f"batch {order.name}", **options)


def base(order: Order, recipe: Recipe | None = None) -> Any:
    """A trained network; half of them forget how they were compiled, where the form can say it instead."""
    return trained(order.setting, recipe, keep_compiled=not forgets(order))


def forgets(order: Order) -> bool:
    """Whether the file says nothing of loss and optimizer."""
    return order.setting.head in LOSS and bool(order.rng("forgets").integers(2))


def specimen(order: Order, model: Any, expect: Expectation, **more: Any) -> Specimen:
    """The specimen with the usual batch, hold-out and options, unless said otherwise."""
    x, y = more.pop("sent", None) or batch(order)
    setting = order.setting
    options = dict(more.pop("options", {}))
    made_format = file_format(order, model)
    if made_format == "saved_model":
        model.compiled = False
    if not getattr(model, "compiled", False) and y is not None:
        if setting.head in LOSS:
            options = {"loss": LOSS[setting.head], "metrics": METRICS[setting.head], **options}
        else:
            compiled(model, setting.head)
    made = Specimen(order, model, x, y, expect, options=options, **more)
    made.holdout = made.holdout or sample(setting, HOLDOUT, "holdout")
    made.format = made_format
    return made


def file_format(order: Order, model: Any) -> str:
    """One in eight as HDF5, and of what a SavedModel can carry one in seven so."""
    rng = order.rng("format")
    if rng.integers(8) == 0:
        return "h5"
    carried = order.mechanism in MECHANISMS and order.setting.head in LOSS and len(model.inputs) == 1
    return "saved_model" if carried and rng.integers(7) == 0 else "keras"


def of_statistics(order: Order, model: Any, expect: Expectation, recipe: Recipe | None = None, **more: Any) -> Specimen:
    """A specimen whose fault lies in the stored statistics: the oracle has those of the training data."""
    x, _ = training_data(order.setting, recipe or Recipe())
    return weighed(specimen(order, model, expect, **{"oracle": recalibrated(model, x), **more}))


def weighed(made: Specimen) -> Specimen:
    """Measure on the hold-out how much the fault moves, and soften the expectation where that is nothing."""
    assert made.holdout is not None
    x, y = made.holdout
    return weighed_by(made, outputs(made.model, x), outputs(made.oracle, x), y)


def weighed_by(made: Specimen, ours: np.ndarray, theirs: np.ndarray, y: Any) -> Specimen:
    """Like `weighed`, for outputs given: as the model is used, and as it should be used."""
    (loss, score), (best_loss, best_score) = figures(ours, y, made.head), figures(theirs, y, made.head)
    rms = moved(ours, theirs)
    made.facts = {
        "loss": loss, "score": score, "oracle_loss": best_loss, "oracle_score": best_score, "oracle_rms": rms,
    }  # fmt: skip
    if best_score < LEARNED.get(made.head, LEARNED_CLASSES):
        raise Unfit(f"the model without its fault scores {best_score:.2f}")
    if made.expect.repaired == "required" and best_score < score - WORSE:
        raise Unfit(f"right statistics score {best_score:.2f}, the faulty ones {score:.2f}")
    seen = abs(score - best_score) >= SEEN_SCORE or abs(loss - best_loss) >= SEEN_LOSS or not rms < SEEN_RMS
    if not seen:
        made.expect = softened(made.expect)
    return made


def moved(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Root mean square difference of outputs in units of their own spread over samples; infinite where one has none."""
    if not np.isfinite(ours).all():
        return float("inf")
    spread = float(np.sqrt(theirs.reshape(len(theirs), -1).var(0).mean()))
    return float(np.sqrt(np.mean((ours - theirs) ** 2))) / spread if spread else float("inf")
