"""Which layers open the gap: shares that sum to it.

Layer by layer in order of data flow, the stored statistics are replaced by those that the training phase applied. The
change of the outputs at each replacement, projected on the change of all of them together, is that layer's share: a
telescoping sum, so the shares add up to the gap exactly, whatever the layers do to each other. First-order attribution
and leave-one-out do not add up (measured: off by 2.9 times, and by 12 to 18 %).

Groups of layers that carry next to nothing are not opened: the few passes are spent where the gap is.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from analyzers.observation import Observer, Pass
from analyzers.outputs import Outputs
from analyzers.phase import flatten
from analyzers.recall import Recall
from analyzers.statistics import Array, relative_rms
from analyzers.subjects.keras_model import KerasSubject
from analyzers.switchboard import Setting

RESOLUTION = 0.02  # A group of layers with less than 2 % of the gap in all is not worth another pass.
NEGLIGIBLE = 1e-3  # Of the outputs' spread: less is nothing that anybody could see, and not worth sharing out.
PASSES = 20  # Bounds the time on deep models: what is left in unopened groups is shared out by divergence, and said.
SAMPLES = 64  # Statistics are constants here, so a few windows show the same layers as all; more only cost time.


@dataclass(frozen=True)
class Attribution:
    """`shares` sum to 1 over the layers that use batch statistics, or are all 0 where nothing worth naming changes.

    `unresolved` is the part of the gap that lies in groups that were not opened, shared out by divergence; `residual`
    is what the shares miss of the gap (floating-point rounding).
    """

    shares: dict[str, float]
    unresolved: float
    residual: float


def attribute(observer: Observer, inference: Pass, batch_only: Pass, divergences: dict[str, float]) -> Attribution:
    """Shares of the gap between `inference` and `batch_only`, the pass with batch statistics in force and nothing else.

    `divergences` names the layers in order of data flow with their KL, by which unopened groups are shared out.
    """
    order = list(divergences)
    take = _prefix(observer, batch_only)
    base = flatten(inference.outputs.take(slice(take)))
    whole = flatten(batch_only.outputs.take(slice(take))) - base
    energy = float(np.sum(np.square(whole)))
    if not order or relative_rms(whole, [base, base + whole]) < NEGLIGIBLE:
        return Attribution(dict.fromkeys(order, 0.0), 0.0, 0.0)
    subject = observer.subject
    recall = Recall(subject) if isinstance(subject, KerasSubject) and _repeats_itself(observer, inference) else None
    with recall or nullcontext():
        replaced = Replaced(observer, batch_only, order, take, recall)

        def worth(count: int) -> float:
            return float(np.sum((replaced.outputs(count) - base) * whole)) / energy

        shares, unresolved = _bisect(order, divergences, worth)
    return Attribution(shares, unresolved, 1.0 - float(sum(shares.values())))


def _repeats_itself(observer: Observer, inference: Pass) -> bool:
    """Whether layers give the same whenever they are given the same: no state goes on, and nothing is drawn."""
    drawn = any(True in inference.flags.get(s.path, ()) for s in observer.subject.of_kind("stochastic"))
    return not observer.subject.carried_states and not drawn


class Replaced:
    """Passes with the training phase's statistics in the first layers; what they have in common is run once."""

    def __init__(
        self, observer: Observer, batch_only: Pass, order: list[str], take: int, recall: Recall | None
    ) -> None:
        self._observer, self._order, self._rows, self._recall = observer, order, np.arange(take), recall
        self._like = Pass(Outputs([], []), batch_only.calls, {}, 0.0, {})
        self._layers = {s.path: s.layer for s in observer.subject.sites}
        self._known = 0  # Layers from the front with replaced statistics that the recall holds.

    def outputs(self, count: int) -> Array:
        """The outputs, flat, with the first `count` layers replaced."""
        like = _restricted(self._like, frozenset(self._order[:count]))
        if self._recall is None:
            return flatten(self._observer.run(Setting(), rows=self._rows, like=like).outputs)
        first = self._layers[self._order[min(count, self._known)]] if self._known else None
        further, recall = count > self._known, self._recall
        self._known = max(count, self._known)
        run = self._observer.run(
            Setting(), rows=self._rows, like=like, before=lambda window: recall.begin(window, first, further)
        )
        return flatten(run.outputs)


def _prefix(observer: Observer, batch_only: Pass) -> int:
    size = observer.batch_size
    total = observer.batch.samples
    return total if total <= SAMPLES else max(size, SAMPLES // size * size)


def _restricted(like: Pass, paths: frozenset[str]) -> Pass:
    calls = [{p: c for p, c in window.items() if p in paths} for window in like.calls]
    return Pass(like.outputs, calls, like.seen, like.penalty, like.flags)


def _bisect(
    order: list[str], divergences: dict[str, float], worth: Callable[[int], float]
) -> tuple[dict[str, float], float]:
    """Open the group with the largest share first; each opening costs one pass."""
    known = {0: 0.0, len(order): 1.0}
    heap = [(-1.0, 0, len(order))]
    closed: list[tuple[int, int]] = []
    passes = 0
    while heap:
        size, low, high = heapq.heappop(heap)
        if high - low == 1 or passes >= PASSES or -size < RESOLUTION:
            closed.append((low, high))
            continue
        middle = (low + high) // 2
        known[middle] = worth(middle)
        passes += 1
        for a, b in ((low, middle), (middle, high)):
            heapq.heappush(heap, (-abs(known[b] - known[a]), a, b))
    shares: dict[str, float] = {}
    unresolved = 0.0
    for low, high in sorted(closed):
        value = known[high] - known[low]
        unresolved += abs(value) if high - low > 1 else 0.0
        shares.update(_shared_out(order[low:high], divergences, value))
    return shares, unresolved


def _shared_out(paths: list[str], divergences: dict[str, float], value: float) -> dict[str, float]:
    weights = np.array([min(divergences[p], 1e6) for p in paths], dtype=np.float64)
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(paths), 1.0 / len(paths))
    return {p: float(value * w) for p, w in zip(paths, weights, strict=True)}
