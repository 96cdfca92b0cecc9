"""`Normalization` layers that leave their input as it is, what reaches them, and whether adapting them would help.

What reaches a layer is recorded where it stands: behind other layers, or inside nested models. Then the layers are
given the sample's own mean and variance, once, and inference is run again: a model that was trained behind an adapted
layer gets better by that, one that was trained without it gets worse.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from analyzers.evaluation import Evaluator
from analyzers.observation import Observer, Pass
from analyzers.phase import paired
from analyzers.statistics import Array
from analyzers.subjects.families import is_a
from analyzers.switchboard import Setting
from analyzers.symptoms import NormalizationFacts
from analyzers.tensors import float64

SAME = 1e-6  # float32 rounding of a stored 1.


@dataclass
class _Seen:
    """Running sums over all that one layer was given, by the axes that it keeps."""

    count: float = 0.0
    total: Array | float = 0.0
    squares: Array | float = 0.0

    def add(self, x: Array, reduced: tuple[int, ...]) -> None:
        self.count += float(np.prod([x.shape[a] for a in reduced]))
        self.total = self.total + x.sum(axis=reduced, keepdims=True)
        self.squares = self.squares + np.square(x).sum(axis=reduced, keepdims=True)

    @property
    def moments(self) -> tuple[Array, Array]:
        mean = np.asarray(self.total) / self.count
        return mean, np.maximum(np.asarray(self.squares) / self.count - np.square(mean), 0.0)


def unadapted(observer: Observer, evaluator: Evaluator, inference: Pass) -> list[NormalizationFacts]:
    """`Normalization` layers that leave some or all features as they are, with what reaches those features."""
    suspects = {
        path: layer for path, layer in observer.subject.layers if is_a(layer, "Normalization") and _idle(layer).any()
    }
    if not suspects:
        return []
    with _watching(suspects) as seen:
        observer.run(Setting())
    reached = {p: s.moments for p, s in seen.items() if s.count}
    if not reached:
        return []
    with _given([(suspects[p], m) for p, m in reached.items()]):
        adapted = observer.run(Setting())
    trial = paired(evaluator.per_sample(inference.outputs), evaluator.per_sample(adapted.outputs))
    losses = (trial.before, trial.after, trial.z) if trial is not None else None
    return [_facts(p, _idle(suspects[p]), *m, losses) for p, m in reached.items()]


def _facts(
    path: str, idle: Any, mean: Array, variance: Array, losses: tuple[float, float, float] | None
) -> NormalizationFacts:
    idle = np.broadcast_to(idle, mean.shape)
    return NormalizationFacts(
        path=path,
        largest_mean=float(np.abs(mean[idle]).max()),
        largest_sd=float(np.sqrt(variance[idle]).max()),
        features=int(mean.size),
        idle=int(np.sum(idle)),
        loss_as_sent=losses[0] if losses else None,
        loss_adapted=losses[1] if losses else None,
        z=losses[2] if losses else 0.0,
    )


def _idle(layer: Any) -> Any:
    """Which features stand at mean 0 and variance 1, in the shape of the layer's own mean; empty without one."""
    mean, variance = getattr(layer, "mean", None), getattr(layer, "variance", None)
    if mean is None or variance is None:
        return np.zeros(0, dtype=bool)
    m, v = float64(mean), float64(variance)
    return (m == 0) & (np.abs(v - 1) < SAME)


@contextlib.contextmanager
def _watching(layers: Mapping[str, Any]) -> Iterator[dict[str, _Seen]]:
    """Note what the layers are called with, for a `with` block."""
    seen = {path: _Seen() for path in layers}

    def noting(path: str, layer: Any, original: Any) -> Any:
        def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            x = float64(inputs)
            seen[path].add(x, tuple(a for a in range(x.ndim) if a == 0 or a not in layer._keep_axis))
            return original(inputs, *args, **kwargs)

        return call

    for path, layer in layers.items():
        object.__setattr__(layer, "call", noting(path, layer, layer.call))
    try:
        yield seen
    finally:
        for layer in layers.values():
            object.__delattr__(layer, "call")


@contextlib.contextmanager
def _given(moments: Sequence[tuple[Any, tuple[Array, Array]]]) -> Iterator[None]:
    """The layers adapted to these moments, each where it is idle, for a `with` block."""
    kept = [(layer, layer.mean, layer.variance) for layer, _ in moments]
    for layer, (mean, variance) in moments:
        idle = _idle(layer)
        for name, sample in (("mean", mean), ("variance", variance)):
            own = float64(getattr(layer, name))
            value = np.where(idle, sample, own)
            object.__setattr__(layer, name, keras.ops.convert_to_tensor(value, dtype=layer.compute_dtype))
    try:
        yield
    finally:
        for layer, mean, variance in kept:
            object.__setattr__(layer, "mean", mean)
            object.__setattr__(layer, "variance", variance)
