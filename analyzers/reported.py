"""Which phase, if any, reproduces the figures that the user saw while training."""

from __future__ import annotations

import math
from typing import Literal

from analyzers.case import Case
from analyzers.report import PhaseFigures, ReportedFigure

PRINTED = 0.005  # Keras prints four digits, and people round to two.
RELATIVE = 0.05  # Losses of a sample scatter; within 5 % they are the same figure to whoever reads them.
STANDARD_ERRORS = 2.0  # A share of n samples is known to this many of sqrt(p (1 - p) / n).


def reproduce(reported: dict[str, float] | None, case: Case) -> list[ReportedFigure]:
    """Each reported figure beside those of both phases; names are those that Keras prints, with or without `val_`."""
    return [_one(name, float(value), case) for name, value in sorted((reported or {}).items())]


def _one(name: str, value: float, case: Case) -> ReportedFigure:
    plain = name.removeprefix("val_")
    inference, training = _figure(plain, case.inference), _figure(plain, case.training)
    by: Literal["inference", "training", "both", "neither", "not_computed"] = "not_computed"
    if inference is not None and training is not None:
        hits = [_near(value, figure, plain, case.samples) for figure in (inference, training)]
        by = "both" if all(hits) else "inference" if hits[0] else "training" if hits[1] else "neither"
    return ReportedFigure(name=name, value=value, inference=inference, training=training, reproduced_by=by)


def _figure(name: str, figures: PhaseFigures) -> float | None:
    if name == "loss":
        return figures.loss
    for known, value in figures.metrics.items():
        if known == name or {known, name} <= {"acc", "accuracy"}:
            return value
    return None


def _near(value: float, figure: float, name: str, samples: int) -> bool:
    share = "acc" in name and 0.0 <= figure <= 1.0
    chance = STANDARD_ERRORS * math.sqrt(figure * (1 - figure) / samples) if share else RELATIVE * abs(figure)
    return abs(value - figure) <= PRINTED + chance
