"""Ways of taking new statistics, tried against each other and against doing nothing on samples held out.

Each way is judged on samples that gave it no statistics. The choice itself is cross-fitted too: what a sample is judged
by was chosen on other folds, so that picking the best of several earns nothing by luck. Among ways within one standard
error of the best (paired over samples; Breiman et al., Classification and Regression Trees, 1984, section 3.4.3) the
most robust is taken, in this order:

1. `LIGHT`: the sample's statistics with a prior at a fifth of the weight. A prior that is off by much shows in the
   loss; one that is off by little costs a fifth of that, and takes the worst of a small sample's noise away.
2. recalibration alone: no assumption about the prior, all of the sample's noise.
3. equal weights, then the prior at four fifths: the more weight, the more the prior must be right.
4. the prior alone: takes nothing from the sample, rests on its assumption entirely.

A prior that is right beyond doubt (sound channels of a corrupt layer) is kept as it is, before all others.
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
from analyzers.switchboard import Constants

NOTHING = "doing nothing"
LIGHT = (
    0.2  # The prior's share that bounds its harm to a fifth, and still halves the noise of a small sample's extremes.
)
SHARES = (LIGHT, 0.0, 0.5, 0.8)  # In order of robustness; the prior counts as n/4, 0, n and 4n samples beside n.
FEWEST_SAMPLES = 16  # Below this folds are of fewer than four samples, whose mean losses order nothing.

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
    ways = _ways(prior) if observer.batch.samples >= FEWEST_SAMPLES and fitted.parts else [RECALIBRATED]
    held_out = [_held_out(observer, fitted, prior, w) for w in ways]
    scores = [score(o) for o in held_out]
    everyone = np.arange(observer.batch.samples)
    taken = ways[_choose(scores, everyone)]
    rivals = [
        _rival(w.name, s, score(base)) for w, s in zip(ways, scores, strict=True) if w is not taken and len(ways) > 1
    ]
    if len(ways) > 1:
        fair = [held_out[_choose(scores, np.setdiff1d(everyone, part))].take(part) for part in fitted.parts]
        mixed = _mixed(fitted.constants, prior, taken.share)
        fitted = replace(fitted, constants=mixed, held_out=_in_order(fair, fitted.parts))
    rivals.append(_rival(NOTHING, score(base), None))
    return Choice(taken, fitted, prior if taken.share else None, rivals)


RECALIBRATED = Way("statistics of the sample alone", 0.0)


def _ways(prior: Prior | None) -> list[Way]:
    """The ways that apply, most robust first."""
    if prior is None:
        return [RECALIBRATED]
    what = "the stored statistics" if prior.updates is None else "the stored statistics with the lag undone"
    if prior.sound:
        return [Way(f"{what} kept in sound channels, those of the sample in the others", 1.0), RECALIBRATED]
    ways = [RECALIBRATED if not s else Way(f"those of the sample blended with {what}, {s:.0%}", s) for s in SHARES]
    alone = prior.complete and prior.updates is not None  # Stored statistics alone are the model as it was sent.
    return [*ways, Way(f"{what} alone", 1.0)] if alone else ways


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


def _choose(scores: Sequence[Array], rows: Rows) -> int:
    """The first way whose mean over `rows` is within one standard error of the best one's."""
    best = min(range(len(scores)), key=lambda i: float(scores[i][rows].mean()))
    for i, each in enumerate(scores):
        worse = paired(each[rows], scores[best][rows])
        if i == best or (worse is not None and worse.mean <= worse.standard_error):
            return i
    return best


def _rival(name: str, scores: Array, nothing: Array | None) -> RivalVariant:
    gain: Paired | None = None if nothing is None else paired(nothing, scores)
    return RivalVariant(
        variant=name, mean=float(scores.mean()), interval=gain.interval if gain else None, samples=len(scores)
    )
