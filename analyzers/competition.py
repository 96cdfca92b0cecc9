"""Ways of taking new statistics, tried against each other and against doing nothing on samples held out.

Each way is judged on samples that gave it no statistics. The choice itself is cross-fitted too: what a sample is judged
by was chosen on other folds, so that picking the best of several earns nothing by luck. Among ways within one standard
error of the best (paired over samples; Breiman et al., Classification and Regression Trees, 1984, section 3.4.3) the
most robust is taken, in this order:

1. `LIGHT`: the sample's statistics with a prior at a fifth of the weight. A prior that is off by much shows in the
   loss; one that is off by little costs a fifth of that, and takes the worst of a small sample's noise away.
2. recalibration alone: no assumption about the prior, all of the sample's noise.
3. equal weights, then the prior alone, which takes nothing from the sample: the more weight, the more the prior must be
   right. Each is tried only where the lighter prior before it helped, since every way costs a pass.

A prior that is right beyond doubt (sound channels of a corrupt layer) is kept as it is, before all others. One that is
known to be wrong (statistics of other weights) must win outright: being within one standard error is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analyzers.case import Paired
from analyzers.observation import Observer
from analyzers.outputs import Outputs, Rows, joined
from analyzers.phase import Calibrated, paired
from analyzers.priors import Prior, blend
from analyzers.report import RivalVariant
from analyzers.statistics import Array
from analyzers.subjects.normalizing import Constants

NOTHING = "doing nothing"
LIGHT = (
    0.2  # The prior's share that bounds its harm to a fifth, and still halves the noise of a small sample's extremes.
)
EQUAL = 0.5
FEWEST_SAMPLES = 16  # Below this folds are of fewer than four samples, whose mean losses order nothing.

WORST = 1e6  # Stands for a loss that is not finite.

Score = Callable[[Outputs], Array]
"""The loss of each sample, (samples,), finite; lower is better."""


@dataclass(frozen=True)
class Way:
    """One way of taking statistics: the prior's share of the weight."""

    name: str
    share: float


@dataclass(frozen=True)
class Choice:
    """The way taken: its statistics from the whole sample, `outputs` of each sample under those of others, its rivals.

    `prior` is set where it is part of the statistics.
    """

    way: Way
    fitted: Calibrated
    prior: Prior | None
    rivals: list[RivalVariant]


def compete(observer: Observer, score: Score, base: Outputs, fitted: Calibrated, prior: Prior | None) -> Choice:
    """Choose among all ways that apply; `base` are the inference phase's outputs with the stored statistics."""
    if prior is None or not fitted.parts or observer.batch.samples < FEWEST_SAMPLES:
        return Choice(RECALIBRATED, fitted, None, [rival(NOTHING, score(base), None)])
    tried = _tried(observer, score, fitted, prior)
    everyone, errors = np.arange(observer.batch.samples), 1.0 if prior.sound or prior.updates is not None else 0.0
    taken = _choose(tried, everyone, errors).way
    fair = [_choose(tried, np.setdiff1d(everyone, part), errors).held_out.take(part) for part in fitted.parts]
    mixed = _mixed(fitted.constants, prior, taken.share)
    rivals = [rival(t.way.name, t.scores, score(base)) for t in tried if t.way is not taken]
    return Choice(
        taken,
        replace(fitted, constants=mixed, held_out=_in_order(fair, fitted.parts)),
        prior if taken.share else None,
        [*rivals, rival(NOTHING, score(base), None)],
    )


RECALIBRATED = Way("the sample's statistics alone", 0.0)


@dataclass(frozen=True)
class _Tried:
    way: Way
    held_out: Outputs
    scores: Array


def _tried(observer: Observer, score: Score, fitted: Calibrated, prior: Prior) -> list[_Tried]:
    """The ways that were tried, most robust first."""

    def attempt(way: Way) -> _Tried:
        outputs = _held_out(observer, fitted, prior, way)
        return _Tried(way, outputs, score(outputs))

    plain = attempt(RECALIBRATED)
    what = "the stored ones" if prior.updates is None else "the stored ones, lag undone,"
    if prior.sound:
        return [attempt(Way("the stored statistics in sound channels, the sample's in the others", 1.0)), plain]
    blends = [Way(f"the sample's statistics blended with {what} at a weight of {s:.0%}", s) for s in (LIGHT, EQUAL)]
    heavier = [blends[1], Way(f"{what.rstrip(',')} alone", 1.0)] if _stands_alone(prior) else [blends[1]]
    light = attempt(blends[0])
    tried, before, last = [light, plain], plain, light
    for way in heavier:
        if last.scores.mean() >= before.scores.mean():
            break
        before, last = last, attempt(way)
        tried.append(last)
    return tried


def _stands_alone(prior: Prior) -> bool:
    """Stored statistics alone are the model as it was sent, unless something in them was put right."""
    return prior.complete and prior.updates is not None


def _held_out(observer: Observer, fitted: Calibrated, prior: Prior | None, way: Way) -> Outputs:
    if way.share == 0.0:
        return fitted.held_out
    parts = []
    for part, others in zip(fitted.parts, fitted.others, strict=True):
        constants = _mixed(others, prior, way.share)
        whole = observer.subject.fixed_batch is not None  # Such a model takes no batch as small as a fold.
        outputs = observer.with_statistics(constants, rows=None if whole else part).outputs
        parts.append(outputs.take(part) if whole else outputs)
    return _in_order(parts, fitted.parts)


def _mixed(constants: dict[str, Constants], prior: Prior | None, share: float) -> dict[str, Constants]:
    return blend(prior.moments, constants, share) if prior is not None and share else constants


def _in_order(parts: Sequence[Outputs], rows: Sequence[Rows]) -> Outputs:
    return joined(parts).take(np.argsort(np.concatenate(list(rows))))


def _choose(tried: Sequence[_Tried], rows: Rows, errors: float) -> _Tried:
    """The first way whose mean over `rows` is within so many standard errors of the best one's."""
    best = min(tried, key=lambda t: float(t.scores[rows].mean()))
    for each in tried:
        worse = paired(each.scores[rows], best.scores[rows])
        if each is best or (worse is not None and worse.mean <= errors * worse.standard_error):
            return each
    return best


def rival(name: str, scores: Array, nothing: Array | None) -> RivalVariant:
    """A way for the report, by its scores and those of doing nothing (None where it is that), (samples,) each."""
    broken = bool(scores.max() >= WORST), nothing is not None and bool(nothing.max() >= WORST)
    gain: Paired | None = None if nothing is None or any(broken) else paired(nothing, scores)
    return RivalVariant(
        variant=name,
        mean=float("inf") if broken[0] else float(scores.mean()),
        interval=gain.interval if gain else None,
        samples=len(scores),
    )
