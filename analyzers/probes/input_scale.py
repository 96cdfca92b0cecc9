"""Was the sample prepared as the training data were? Tried, not guessed.

A batch-normalizing layer that sees the input itself stores the mean and variance that a rightly scaled input gives. The
factor and offset that match the stored statistics of *all* its channels best are found (see `responses`). Then they
are tried: both phases run on the corrected input. Where the sample was only prepared wrongly, inference and training
phase then agree, and every layer behind finds what it stored. A lag of the statistics, or statistics of another domain,
change channels unevenly and fail the trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from analyzers import noise
from analyzers.case import LayerCase, ScaleTrial
from analyzers.evaluation import Evaluator
from analyzers.observation import Observer, Pass
from analyzers.phase import flatten
from analyzers.probes import averaging_clock
from analyzers.probes.responses import SILENT, Responses, responses, scaled, straight
from analyzers.statistics import Array, Moments, divergence, kl_per_channel, mixed, relative_rms
from analyzers.subjects.normalizing import Constants
from analyzers.switchboard import Setting

SAMPLES = 256  # Enough to fix one factor and one offset from all channels.
CANDIDATES = 8  # Layers looked at in order of data flow; those that see the input linearly stand at the front.
HOPELESS = (
    0.2  # Share of the divergence that the best correction may leave; what explains less is not worth two passes.
)
EXPLAINED = 0.7  # Share of a layer's divergence that a lag must explain before it is undone to look behind it.
PARTS_OF_BOUND = (
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    0.95,
    0.99,
)  # Of the most that may be left of the start; the best fit is taken.
LAGGING = 0.03  # Weight of the start below which a lag hides no scale ...
HOPELESS_LAG = 0.9  # ... and above which undoing it multiplies every error by ten or more.
GLANCE = 8  # Layers behind the first that are looked at before the whole model is run, where that has many more.
WORSE = 0.01  # Nats: healthy samples leave as much.
MOST_STEPS = 120  # Of the search, from each start: two numbers are found to a thousandth in 60 to 90.


def trial(
    observer: Observer, evaluator: Evaluator, layers: Sequence[LayerCase], inference: Pass, training: Pass
) -> ScaleTrial | None:
    """Try the best factor and offset on both phases.

    `layers` are those that use batch statistics, in order of data flow; the observer's batch is put back. None where no
    layer sees the input linearly, where the input is no measured quantity, or where even the best correction leaves
    those layers far from what they stored.
    """
    if not layers or observer.subject.fixed_batch or any(x.dtype.kind != "f" for x in observer.batch.x):
        return None
    rows = np.arange(min(observer.batch.samples, max(SAMPLES, observer.batch_size)))
    ahead = layers[:CANDIDATES]
    plain = {x.path: mixed([s.take(rows) for s in inference.seen[x.path]]) for x in ahead}
    seen = responses(observer, rows, ahead, plain)
    if seen is None:
        return None
    first, response = seen
    names = [x.path for x in first]
    deep = [x for x in layers if x.path not in names]
    found, caught_up = _best(first, deep, response)
    if found is None:
        return None
    kept = straight(observer, response, found.factor, found.offset, rows, names)
    if kept and kept != names:
        names = kept
        found, caught_up = _best([x for x in first if x.path in names], deep, response)
    if found is None:
        return None
    known = [caught_up.get(x.path, x) for x in layers]
    return _try(observer, evaluator, known, names, found, (inference, training), lagging=bool(caught_up))


def _best(
    first: Sequence[LayerCase], deep: Sequence[LayerCase], response: Responses
) -> tuple[_Found | None, dict[str, LayerCase]]:
    """The correction that fits best, and the layers with their lag undone, where those behind the first show one."""
    lags = [x for x in deep if x.significant and x.clock is not None and x.clock.explained > EXPLAINED]
    if len(lags) < 0.5 * len(deep) or not lags:
        return _solve(first, response), {}
    tried = []
    for part in PARTS_OF_BOUND:
        caught_up = _caught_up(first, deep, lags, part)
        found = _solve([caught_up.get(x.path, x) for x in first], response)
        if found is not None:
            behind = [caught_up.get(x.path, x) for x in deep]
            left = np.mean([np.minimum(kl_per_channel(x.batch, x.stored, x.epsilon), 1e6).mean() for x in behind])
            tried.append((found.misfit + float(left), part, found, caught_up))
    if not tried:
        return None, {}
    _, _, found, caught_up = min(tried, key=lambda r: r[:2])
    return found, caught_up


def _caught_up(
    first: Sequence[LayerCase], deep: Sequence[LayerCase], lags: Sequence[LayerCase], part: float
) -> dict[str, LayerCase]:
    """Layers with the statistics that they would store had they had enough updates.

    In the training phase the layers behind the first see normalized values, whatever the input's scale. So what they
    tell of a lag holds for all layers of their momentum. How much of the start is left is at most what the smallest
    stored variance allows, and `part` of that is taken.
    """
    result = {}
    for momentum in {x.momentum for x in lags}:
        group = [x for x in (*first, *deep) if x.momentum == momentum]
        weight = part * min(x.clock.bound for x in group if x.clock is not None)
        if LAGGING < weight < HOPELESS_LAG:
            for x in group:
                result[x.path] = replace(x, stored=averaging_clock.caught_up(x.stored, x.start, weight))
    return result


@dataclass(frozen=True)
class _Found:
    """The correction factor * x + offset, the spread over channels of half the log variance ratio, and the divergence
    that it leaves.
    """

    factor: float
    offset: float
    spread: float
    misfit: float


def _solve(first: Sequence[LayerCase], response: Responses) -> _Found | None:
    """The factor (positive) and offset with the least divergence of the layers that see the input first."""
    ratios = np.concatenate([_half_log_ratios(x, response.plain[x.path]) for x in first])
    if not len(ratios):
        return None

    def misfit(point: Array) -> float:
        factor, offset = float(np.exp(point[0])), float(point[1])
        each = [kl_per_channel(response.at(x.path, factor, offset), x.stored, x.epsilon) for x in first]
        return float(np.mean(np.minimum(np.concatenate(each), 1e6)))

    scale = float(np.median(ratios))
    starts = [np.array([scale, o]) for o in (0.0, _offset(first, response, float(np.exp(scale))))]
    best = min(
        (optimize.minimize(misfit, p, method="Nelder-Mead", options={"maxfev": MOST_STEPS}) for p in starts),
        key=lambda r: float(r.fun),
    )
    factor, offset = float(np.exp(best.x[0])), float(best.x[1])
    if float(best.fun) > HOPELESS * misfit(np.zeros(2)):
        return None
    left = np.concatenate([_half_log_ratios(x, response.at(x.path, factor, offset)) for x in first])
    return _Found(factor, offset, float(np.std(left)), float(best.fun))


def _offset(first: Sequence[LayerCase], response: Responses, factor: float) -> float:
    """The offset that brings the means nearest, by least squares in stored standard deviations."""
    lhs, rhs = [], []
    for x in first:
        sd = np.sqrt(np.maximum(x.stored.variance, 0.0) + x.epsilon)
        lhs.append((response.at(x.path, 0.0, 1.0).mean - response.at(x.path, 0.0, 0.0).mean) / sd)
        rhs.append((x.stored.mean - response.at(x.path, factor, 0.0).mean) / sd)
    a, b = np.concatenate(lhs), np.concatenate(rhs)
    usable = np.isfinite(a) & np.isfinite(b)
    energy = float(np.sum(a[usable] ** 2))
    return float(np.sum(a[usable] * b[usable]) / energy) if energy > SILENT else 0.0


def _half_log_ratios(layer: LayerCase, seen: Moments) -> Array:
    good = (seen.variance > SILENT) & (layer.stored.variance > SILENT) & np.isfinite(layer.stored.mean)
    return np.asarray(0.5 * np.log(layer.stored.variance[good] / seen.variance[good]))


def _try(
    observer: Observer,
    evaluator: Evaluator,
    layers: Sequence[LayerCase],
    names: list[str],
    found: _Found,
    phases: tuple[Pass, Pass],
    lagging: bool,
) -> ScaleTrial:
    """Both phases on the corrected input; where a lag was undone, inference with it undone before and after.

    Each pass only while the one before it leaves hope: a correction that makes layers behind the first worse is none.
    """
    before, wanted = phases
    standing = {x.path: [_constants(x.stored)] for x in layers} if lagging else {}
    setting = Setting(record=True, constants=standing)
    first, deep = ([x for x in layers if (x.path in names) is seen] for seen in (True, False))
    known = _untried(found, names, _by_chance(first, wanted), _distance(before, wanted), lagging)
    if len(deep) > 2 * GLANCE and _worse_at_a_glance(observer, deep[:GLANCE], standing, found):
        return replace(known, kl_before=_mean_kl(first, before), deep_kl_before=_mean_kl(deep, before))
    if lagging:
        before = observer.run(setting)
    with scaled(observer, found.factor, found.offset):
        after = observer.run(setting)
        known = replace(
            known,
            kl_before=_mean_kl(first, before),
            kl_after=_mean_kl(first, after),
            deep_kl_before=_mean_kl(deep, before),
            deep_kl_after=_mean_kl(deep, after),
            distance_before=_distance(before, wanted),
        )
        if known.deep_kl_after > known.deep_kl_before + WORSE or known.kl_after >= known.kl_before:
            return known
        corrected = observer.run(Setting(training=True, record=True))
    return replace(
        known,
        deep_kl_training=max((_mean_kl([x], corrected) for x in deep), default=0.0),
        distance_after=_distance(after, corrected),
        loss_before=_loss(evaluator, before),
        loss_after=_loss(evaluator, after),
    )


def _untried(found: _Found, names: list[str], by_chance: float, distance: float, lagging: bool) -> ScaleTrial:
    """What is known before a pass: outputs come no nearer and layers behind stay as they are, until that is seen."""
    return ScaleTrial(
        paths=names,
        factor=found.factor,
        offset=found.offset,
        spread=found.spread,
        spread_by_chance=by_chance,
        kl_before=math.inf,
        kl_after=found.misfit,
        deep_kl_before=math.inf,
        deep_kl_after=math.inf,
        deep_kl_training=math.inf,
        distance_before=distance,
        distance_after=distance,
        loss_before=None,
        loss_after=None,
        lagging=lagging,
    )


def _worse_at_a_glance(
    observer: Observer, deep: list[LayerCase], standing: dict[str, list[Constants]], found: _Found
) -> bool:
    """Whether the next layers behind the first diverge more on the corrected input: a look at the front of the model,
    where errors have not piled up yet.
    """
    rows = np.arange(observer.batch.samples)
    paths = [x.path for x in deep]
    plain = observer.glimpse(rows, paths, standing)
    with scaled(observer, found.factor, found.offset):
        corrected = observer.glimpse(rows, paths, standing)
    left = [
        float(np.mean([divergence(seen[x.path], x.stored, x.epsilon).kl for x in deep if x.path in seen]))
        for seen in (plain, corrected)
    ]
    return left[1] > left[0] + WORSE


def _by_chance(first: Sequence[LayerCase], run: Pass) -> float:
    """Standard deviation of half the log variance ratio by sampling, root mean square over channels."""
    each = [noise.sampling_variances(s, SILENT)[1] for x in first for s in run.seen[x.path]]
    return 0.5 * float(np.sqrt(np.mean(np.concatenate(each))))


def _constants(stored: Moments) -> Constants:
    return stored.mean.astype(np.float32), stored.variance.astype(np.float32)


def _distance(inference: Pass, training: Pass) -> float:
    target = flatten(training.outputs)
    return relative_rms(flatten(inference.outputs) - target, [target])


def _loss(evaluator: Evaluator, run: Pass) -> float | None:
    each = evaluator.per_sample(run.outputs)
    return None if each is None else float(np.mean(each))


def _mean_kl(layers: Sequence[LayerCase], run: Pass) -> float:
    seen = [x for x in layers if x.path in run.seen]
    values = [divergence(mixed(run.seen[x.path]), x.stored, x.epsilon).kl for x in seen]
    return float(np.mean(values)) if values else 0.0
