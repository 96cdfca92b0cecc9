"""Which phase, if any, reproduces the figures that the user saw while training, and by which definition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from analyzers.case import Case
from analyzers.evaluation import Evaluator
from analyzers.observation import Pass
from analyzers.probes import definitions
from analyzers.probes.definitions import Figure
from analyzers.report import PhaseFigures, ReportedFigure

By = Literal["inference", "training", "both", "neither", "not_computed"]
Pair = tuple[Figure, Figure]
"""A score in the inference and in the training phase."""

PRINTED = 0.005  # Keras prints four digits, and people round to two.
EXACT = 6e-4  # A figure that agrees to the printed digits in one phase is of that phase.
RELATIVE = 0.02  # Losses within 2 % are the same figure to whoever reads them.
STANDARD_ERRORS = 2.0  # A score of n samples is known to this many of its standard errors.
OTHERWISE = 1.0  # Nearer is asked of other definitions, of which there are several.
PREFIXES = ("validation_", "training_", "train_", "test_", "val_")
MOST_PERCENT = 100.0


@dataclass(frozen=True)
class Scores:
    """Everything that may be compared: the compiled figures, and those by other definitions."""

    case: Case
    shares: Mapping[str, Pair]
    losses: Mapping[str, Pair]


def reproduce(
    reported: dict[str, float] | None, case: Case, model: Any, evaluator: Evaluator, passes: tuple[Pass, Pass]
) -> list[ReportedFigure]:
    """Each reported figure beside those of both phases; names are those that Keras prints, with or without `val_`.

    `passes`: that of the inference and that of the training phase.
    """
    if not reported:
        return []
    shares = [definitions.shares(model, evaluator, p.outputs) for p in passes]
    losses = [definitions.losses(model, evaluator, p.outputs, p.penalty) for p in passes]
    scores = Scores(case, _pairs(*shares), _pairs(*losses))
    return [_one(name, float(value), scores) for name, value in sorted(reported.items())]


def _pairs(inference: dict[str, Figure], training: dict[str, Figure]) -> dict[str, Pair]:
    return {k: (inference[k], training[k]) for k in inference if k in training}


def _one(name: str, value: float, scores: Scores) -> ReportedFigure:
    plain = name.lower()
    for prefix in PREFIXES:
        plain = plain.removeprefix(prefix)
    share, loss = "acc" in plain, plain == "loss" or plain.endswith("_loss")
    percent = share and 1.0 < value <= MOST_PERCENT
    sought = value / MOST_PERCENT if percent else value
    literal = _compiled(plain, scores, share)
    by: By = "not_computed" if literal is None else _matched(sought, literal, STANDARD_ERRORS)
    definition = None
    others = scores.shares if share else scores.losses if loss else {}
    exact = literal is not None and any(_exact(sought, f) for f in literal)
    if not exact:
        found = _nearest(sought, others)
        if found is not None and (by in ("neither", "not_computed") or any(_exact(sought, f) for f in found[1])):
            definition, by = found[0], _matched(sought, found[1], OTHERWISE)
            literal = literal or found[1]
        elif literal is None and others:
            definition, literal = next(iter(others.items()))
            by = "neither"
    note = _note(name, sought, by, definition, literal, scores)
    return ReportedFigure(
        name=name,
        value=value,
        inference=None if literal is None else literal[0].value,
        training=None if literal is None else literal[1].value,
        reproduced_by=by,
        definition=definition,
        note=("Read as per cent. " if percent else "") + note,
    )


def _compiled(name: str, scores: Scores, share: bool) -> Pair | None:
    """The figures of this name that the model was compiled with, or that the caller named."""
    case = scores.case
    values = [_figure(name, f) for f in (case.inference, case.training)]
    if values[0] is None or values[1] is None:
        return None
    known = scores.losses if name == "loss" else scores.shares if share else {}
    alike = next((p for p in known.values() if abs(p[0].value - values[0]) < EXACT), None)
    errors = [_binomial(v, case.samples) if share else 0.0 for v in (values[0], values[1])]
    if alike is not None:
        errors = [f.error for f in alike]
    drawn = case.training.repeat_sd.get(name, 0.0)
    return Figure(values[0], errors[0]), Figure(values[1], math.hypot(errors[1], drawn))


def _figure(name: str, figures: PhaseFigures) -> float | None:
    if name == "loss":
        return figures.loss
    for known, value in figures.metrics.items():
        if known.lower() == name or {known.lower(), name} <= {"acc", "accuracy"}:
            return value
    return None


def _binomial(share: float, samples: int) -> float:
    likely = (min(max(share, 0.0), 1.0) * samples + 2) / (samples + 4)
    return math.sqrt(likely * (1 - likely) / (samples + 4))


def _matched(value: float, pair: Pair, errors: float) -> By:
    exact = [_exact(value, f) for f in pair]
    hits = exact if any(exact) else [_near(value, f, errors) for f in pair]
    return "both" if all(hits) else "inference" if hits[0] else "training" if hits[1] else "neither"


def _exact(value: float, figure: Figure) -> bool:
    return abs(value - figure.value) <= EXACT * max(1.0, abs(figure.value))


def _near(value: float, figure: Figure, errors: float) -> bool:
    return abs(value - figure.value) <= PRINTED + errors * figure.error + RELATIVE * abs(figure.value) * (errors > 1)


def _nearest(value: float, others: Mapping[str, Pair]) -> tuple[str, Pair] | None:
    """The other definition that comes nearest, where one is near enough."""
    hits = {k: p for k, p in others.items() if _matched(value, p, OTHERWISE) != "neither"}
    best = min(hits, key=lambda k: min(abs(value - f.value) for f in hits[k]), default=None)
    return None if best is None else (best, hits[best])


def _note(name: str, value: float, by: By, definition: str | None, literal: Pair | None, scores: Scores) -> str:
    if by == "not_computed":
        return "It was not computed here: send labels, and name the loss or metric, to have it compared."
    if by == "neither":
        return _elsewhere(name, value, literal)
    where = {
        "both": "Both phases give it on this sample",
        "inference": "The inference phase gives it on this sample, the training phase does not",
        "training": "The training phase gives it on this sample, inference does not",
    }[by]
    if definition is None:
        return f"{where}."
    compiled = _compiled(name.lower(), scores, "acc" in name.lower())
    beside = f"; the compiled `{name}` is {compiled[0].value:.4g} in inference" if compiled is not None else ""
    return f"{where}, as {definition}{beside}."


def _elsewhere(name: str, value: float, literal: Pair | None) -> str:
    if literal is None:
        return "Neither phase gives it on this sample."
    low, high = sorted(f.value for f in literal)
    worse = value > high if "loss" in name.lower() else value < low
    if worse:
        return (
            "Neither phase gives it on this sample: both do better. `fit` prints the mean over an epoch in which the "
            "weights still improved, and with dropout and augmentation on; or the figure is of other data."
        )
    if low <= value <= high:
        return "Neither phase gives it on this sample: it lies between them. The figure may be of other data."
    return (
        "Neither phase gives it on this sample: both do worse. It may be of other data, such as the training data of "
        "an overfitted model, or of data prepared in another way."
    )
