"""Was the sample prepared as the training data were? Tried, not guessed.

A batch-normalizing layer that sees the input through linear layers only stores the mean and variance that a rightly
scaled input gives. If the sample is factor * x + offset away from that, one factor explains the variances of *all* its
channels, and the other layers, which see normalized values in the training phase, agree with what they stored. The
probe finds those layers, solves for the factor and the offset, and runs inference on the corrected input: what then
happens to the divergence of the layers behind is the evidence.

A lag of the statistics, or statistics of another domain, change channels unevenly and fail the trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analyzers.batches.spec import Batch
from analyzers.case import LayerCase, ScaleTrial
from analyzers.evaluation import Evaluator
from analyzers.observation import Observer, Pass, Rows
from analyzers.phase import flatten
from analyzers.statistics import Array, Moments, average, divergence, pool, relative_rms
from analyzers.switchboard import Setting

LINEARITY = 1e-3  # Response to a doubled input against twice the response: float32 convolutions keep within 1e-5.
SAMPLES = 64  # Enough to fix one factor and one offset from all channels.
SILENT = 1e-12  # Variances and responses below this are those of dead channels.


def trial(observer: Observer, evaluator: Evaluator, layers: Sequence[LayerCase], target: Pass) -> ScaleTrial | None:
    """Try the best factor and offset; `target` is the training-phase pass. None where no layer sees the input linearly.

    Raises nothing of its own; the batch is put back.
    """
    numeric = all(x.dtype.kind in "fiu" for x in observer.batch.x)
    if not layers or not numeric or observer.subject.fixed_batch or any(x.dtype.kind in "iu" for x in observer.batch.x):
        return None
    rows = np.arange(min(observer.batch.samples, max(SAMPLES, observer.batch_size)))
    plain, zero, one, double = (_seen(observer, f, b, rows) for f, b in ((1, 0), (0, 0), (0, 1), (2, 0)))
    first = [x for x in layers if x.path in plain and _linear(plain[x.path], zero[x.path], double[x.path])]
    if not first:
        return None
    found = _solve(first, plain, zero, one)
    return None if found is None else _try(observer, evaluator, layers, first, found, target)


def _seen(observer: Observer, factor: float, offset: float, rows: Rows) -> dict[str, Moments]:
    with _Input(observer, factor, offset):
        seen = observer.run(Setting(record=True), rows=rows).seen
    return {path: average([pool(c) for c in calls], [1.0] * len(calls)) for path, calls in seen.items()}


class _Input:
    """The observer's batch with factor * x + offset in place of x, for the length of a `with` block."""

    def __init__(self, observer: Observer, factor: float, offset: float) -> None:
        self.observer, self.saved = observer, observer.batch
        x = [(a * factor + offset).astype(a.dtype) for a in observer.batch.x]
        self.changed: Batch = replace(observer.batch, x=x)

    def __enter__(self) -> None:
        self.observer.batch = self.changed

    def __exit__(self, *_: object) -> None:
        self.observer.batch = self.saved


def _linear(plain: Moments, zero: Moments, double: Moments) -> bool:
    """Whether the layer's input is an affine function of the model's: doubling x doubles the response."""
    with np.errstate(all="ignore"):
        mean = np.abs((double.mean - zero.mean) - 2 * (plain.mean - zero.mean))
        scale = np.abs(plain.mean - zero.mean) + np.sqrt(plain.variance) + 1e-12
        spread = np.abs(np.sqrt(double.variance) - 2 * np.sqrt(plain.variance))
        return bool(
            np.max(mean / scale) < LINEARITY and np.max(spread / scale) < LINEARITY and plain.variance.max() > 0
        )


@dataclass(frozen=True)
class _Found:
    """The correction factor * x + offset, and the spread over channels of half the log variance ratio."""

    factor: float
    offset: float
    spread: float


def _solve(
    first: list[LayerCase], plain: dict[str, Moments], zero: dict[str, Moments], one: dict[str, Moments]
) -> _Found | None:
    """Factor from the variances (median over channels), offset from the means (least squares in stored sd)."""
    ratios = np.concatenate([_half_log_ratios(x, plain[x.path]) for x in first])
    if not len(ratios):
        return None
    factor = float(np.exp(np.median(ratios)))
    lhs, rhs = [], []
    for x in first:
        seen, dark, light = plain[x.path], zero[x.path], one[x.path]
        sd = np.sqrt(np.maximum(x.stored.variance, 0.0) + x.epsilon)
        lhs.append((light.mean - dark.mean) / sd)
        rhs.append((x.stored.mean - dark.mean - factor * (seen.mean - dark.mean)) / sd)
    a, b = np.concatenate(lhs), np.concatenate(rhs)
    usable = np.isfinite(a) & np.isfinite(b)
    energy = float(np.sum(a[usable] ** 2))
    offset = float(np.sum(a[usable] * b[usable]) / energy) if energy > SILENT else 0.0
    return _Found(factor, offset, float(np.std(ratios)))


def _half_log_ratios(layer: LayerCase, seen: Moments) -> Array:
    good = (seen.variance > SILENT) & (layer.stored.variance > SILENT) & np.isfinite(layer.stored.mean)
    return np.asarray(0.5 * np.log(layer.stored.variance[good] / seen.variance[good]))


def _try(
    observer: Observer,
    evaluator: Evaluator,
    layers: Sequence[LayerCase],
    first: list[LayerCase],
    found: _Found,
    target: Pass,
) -> ScaleTrial:
    before = observer.run(Setting(record=True))
    with _Input(observer, found.factor, found.offset):
        after = observer.run(Setting(record=True))
    names = [x.path for x in first]
    deep = [x for x in layers if x.path not in names]
    wanted = flatten(target.outputs)
    losses = [evaluator.per_sample(p.outputs) for p in (before, after)]
    loss_before, loss_after = (None if each is None else float(np.mean(each)) for each in losses)
    return ScaleTrial(
        paths=names,
        factor=found.factor,
        offset=found.offset,
        spread=found.spread,
        kl_before=_mean_kl(first, before),
        kl_after=_mean_kl(first, after),
        deep_kl_before=_mean_kl(deep, before),
        deep_kl_after=_mean_kl(deep, after),
        distance_before=relative_rms(flatten(before.outputs) - wanted, [wanted]),
        distance_after=relative_rms(flatten(after.outputs) - wanted, [wanted]),
        loss_before=loss_before,
        loss_after=loss_after,
    )


def _mean_kl(layers: Sequence[LayerCase], run: Pass) -> float:
    values = [
        divergence(average([pool(c) for c in run.seen[x.path]], [1.0] * len(run.seen[x.path])), x.stored, x.epsilon).kl
        for x in layers
        if x.path in run.seen
    ]
    return float(np.mean(values)) if values else 0.0
