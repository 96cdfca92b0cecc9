"""Was the sample prepared as the training data were? Tried, not guessed.

A batch-normalizing layer that sees the input through linear layers only stores the mean and variance that a rightly scaled
input gives. If the sample is factor * x + offset away from that, one factor explains the variances of *all* its channels, and
the other layers, which see normalized values in the training phase, agree with what they stored. The probe finds those
layers, solves for the factor and the offset, and runs inference on the corrected input: what then happens to the divergence
of the layers behind is the evidence.

A lag of the statistics, or statistics of another domain, change channels unevenly and fail the trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analyzers.batches.spec import Batch
from analyzers.case import LayerCase, ScaleTrial
from analyzers.evaluation import Evaluator
from analyzers.observation import Observer, Pass
from analyzers.phase import flatten
from analyzers.statistics import Array, Moments, average, divergence, pool, relative_rms
from analyzers.switchboard import Setting

LINEARITY = 1e-3  # Response to a doubled input against twice the response: float32 convolutions keep within 1e-5.
SAMPLES = 64  # Enough to fix one factor and one offset from all channels.
WORTH_TRYING = 0.05  # Half a log variance ratio: a factor within 5 % of 1 is nobody's forgotten scaling.


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
    solved = _solve(first, plain, zero, one)
    if solved is None:
        return None
    factor, offset, spread = solved
    return _try(observer, evaluator, layers, first, factor, offset, spread, target, rows)


def _seen(observer: Observer, factor: float, offset: float, rows: Array) -> dict[str, Moments]:
    with _Input(observer, factor, offset):
        seen = observer.run(Setting(record=True), rows=rows.astype(np.intp)).seen
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
        return bool(np.max(mean / scale) < LINEARITY and np.max(spread / scale) < LINEARITY and plain.variance.max() > 0)


def _solve(
    first: list[LayerCase], plain: dict[str, Moments], zero: dict[str, Moments], one: dict[str, Moments]
) -> tuple[float, float, float] | None:
    """Factor from the variances (median over channels), offset from the means (least squares in stored sd)."""
    logs, lhs, rhs = [], [], []
    for x in first:
        seen = plain[x.path]
        good = (seen.variance > 1e-12) & (x.stored.variance > 1e-12) & np.isfinite(x.stored.mean)
        logs.append(0.5 * np.log(x.stored.variance[good] / seen.variance[good]))
    ratios = np.concatenate(logs)
    if not len(ratios):
        return None
    factor, spread = float(np.exp(np.median(ratios))), float(np.std(ratios))
    for x in first:
        seen, dark, light = plain[x.path], zero[x.path], one[x.path]
        sd = np.sqrt(np.maximum(x.stored.variance, 0.0) + x.epsilon)
        lhs.append((light.mean - dark.mean) / sd)
        rhs.append((x.stored.mean - dark.mean - factor * (seen.mean - dark.mean)) / sd)
    a, b = np.concatenate(lhs), np.concatenate(rhs)
    usable = np.isfinite(a) & np.isfinite(b)
    energy = float(np.sum(a[usable] ** 2))
    return factor, float(np.sum(a[usable] * b[usable]) / energy) if energy > 1e-12 else 0.0, spread


def _try(
    observer: Observer, evaluator: Evaluator, layers: Sequence[LayerCase], first: list[LayerCase],
    factor: float, offset: float, spread: float, target: Pass, rows: Array,
) -> ScaleTrial:  # fmt: skip
    before = observer.run(Setting(record=True))
    with _Input(observer, factor, offset):
        after = observer.run(Setting(record=True))
    names = [x.path for x in first]
    deep = [x for x in layers if x.path not in names]
    wanted = flatten(target.outputs)
    old, new = flatten(before.outputs), flatten(after.outputs)
    losses = [evaluator.per_sample(p.outputs) for p in (before, after)]
    return ScaleTrial(
        names, factor, offset, spread,
        _mean_kl(first, before), _mean_kl(first, after), _mean_kl(deep, before), _mean_kl(deep, after),
        relative_rms(old - wanted, [wanted]), relative_rms(new - wanted, [wanted]),
        *(None if each is None else float(np.mean(each)) for each in losses),
    )  # fmt: skip


def _mean_kl(layers: Sequence[LayerCase], run: Pass) -> float:
    values = [
        divergence(average([pool(c) for c in run.seen[x.path]], [1.0] * len(run.seen[x.path])), x.stored, x.epsilon).kl
        for x in layers
        if x.path in run.seen
    ]
    return float(np.mean(values)) if values else 0.0
