"""Which layers open the gap: shares that sum to it.

Layer by layer in order of data flow, the stored statistics are replaced by those that the training phase applied. The
change of the outputs at each replacement, projected on the change of all of them together, is that layer's share: a
telescoping sum, so the shares add up to the gap exactly, whatever the layers do to each other. First-order attribution
and leave-one-out do not add up (measured: off by 2.9 times, and by 12 to 18 %).

Groups of layers that carry next to nothing are not opened: the few passes are spent where the gap is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from analyzers.observation import Observer, Pass, slices, windows
from analyzers.outputs import Outputs, Rows, joined
from analyzers.phase import flatten
from analyzers.recall import Recall, room
from analyzers.statistics import Array, relative_rms
from analyzers.subjects.footprint import outputs_bytes
from analyzers.subjects.keras_model import KerasSubject
from analyzers.switchboard import Setting

RESOLUTION = 0.03  # A group of layers with less than 3 % of the gap in all is not worth another pass.
NEGLIGIBLE = 1e-3  # Of the outputs' spread: less is nothing that anybody could see, and not worth sharing out.
PASSES = 20  # Whole ones. They bound the time: what is left in unopened groups is shared out by divergence, and said.
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


class Costs(Protocol):
    """What passes have cost, and what another would, in whole passes."""

    spent: float

    def cost(self, count: int) -> float: ...


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
    recall = (
        Recall(subject, room(observer.memory_bytes))
        if isinstance(subject, KerasSubject) and _repeats_itself(observer, inference)
        else None
    )
    with recall or nullcontext():
        replaced = Replaced(observer, batch_only, order, take, recall)

        def worth(counts: Sequence[int]) -> dict[int, float]:
            outputs = replaced.several(counts)
            return {count: float(np.sum((outputs[count] - base) * whole)) / energy for count in counts}

        shares, unresolved = _bisect(order, divergences, worth, replaced)
    return Attribution(shares, unresolved, 1.0 - float(sum(shares.values())))


def _repeats_itself(observer: Observer, inference: Pass) -> bool:
    """Whether layers give the same whenever they are given the same: no state goes on, and nothing is drawn."""
    drawn = any(True in inference.flags.get(s.path, ()) for s in observer.subject.of_kind("stochastic"))
    return not observer.subject.carried_states and not drawn


@dataclass(frozen=True)
class _Part:
    """Some samples of one window, run together: `rows` of the batch, `keep` of these, the statistics of the window."""

    rows: Rows
    keep: Rows
    like: Pass


class Replaced:
    """Passes with the training phase's statistics in the first layers; what they have in common is run once.

    `spent` counts them in whole passes over the samples.
    """

    def __init__(
        self, observer: Observer, batch_only: Pass, order: list[str], take: int, recall: Recall | None
    ) -> None:
        self._observer, self._order, self._rows, self._recall = observer, order, np.arange(take), recall
        self._like = Pass(Outputs([], []), batch_only.calls, {}, 0.0, {})
        self._layers = {s.path: s.layer for s in observer.subject.sites}
        self._parts = [] if recall is None else _parts(observer, self._like, take)
        self._known = [0] * len(self._parts)  # How many layers were replaced in what the recall holds of each part.
        self.spent = 0.0

    def outputs(self, count: int) -> Array:
        """The outputs, flat, with the first `count` layers replaced."""
        return self.several([count])[count]

    def several(self, counts: Sequence[int]) -> dict[int, Array]:
        """The outputs for each of these numbers of replaced layers."""
        if self._recall is None:
            return {count: self._whole(count) for count in counts}
        found: dict[int, list[Outputs]] = {count: [] for count in counts}
        for number, part in enumerate(self._parts):
            for count in self._sequence(number, sorted(counts)):
                found[count].append(self._served(number, part, count, self._recall))
        return {count: flatten(joined(parts)) for count, parts in found.items()}

    def cost(self, count: int) -> float:
        """What the outputs for one more number are going to cost, in whole passes."""
        return 1.0 if self._recall is None or self._recall.is_full else 1.0 - count / len(self._order)

    def _whole(self, count: int) -> Array:
        like = _restricted(self._like, frozenset(self._order[:count]))
        self.spent += 1.0
        return flatten(self._observer.run(Setting(), rows=self._rows, like=like).outputs)

    def _sequence(self, number: int, counts: list[int]) -> list[int]:
        """From behind each run begins at its own layer; from ahead at the one of the run before, which costs one pass
        in all, and less where the first run finds more to begin with.
        """
        rising = max(0, counts[-1] - self._known[number]) > counts[-1] - counts[0]
        return counts if rising else counts[::-1]

    def _served(self, number: int, part: _Part, count: int, recall: Recall) -> Outputs:
        known = min(count, self._known[number]) if recall.holds(number) else 0
        first = self._layers[self._order[known]] if 0 < known < len(self._order) else None
        like = _restricted(part.like, frozenset(self._order[:count]))
        run = self._observer.run(Setting(), rows=part.rows, like=like, before=lambda _: recall.begin(number, first))
        self._known[number] = count
        self.spent += (1.0 - known / len(self._order)) * len(part.rows) / len(self._rows)
        return run.outputs.take(part.keep)


def _parts(observer: Observer, like: Pass, take: int) -> list[_Part]:
    """The windows; where samples do not depend on their company, cut so that what layers give fits into the recall."""
    parts = []
    for number, (rows, keep) in enumerate(windows(take, observer.batch_size)):
        alone = Pass(like.outputs, like.calls[number : number + 1], {}, 0.0, {})
        if observer.merging:
            most = max(1, room(observer.memory_bytes) // max(1, outputs_bytes(observer.subject.model)))
            even = -(-len(keep) // -(-len(keep) // most))
            parts += [_Part(rows[keep][cut], kept, alone) for cut, kept in slices(len(keep), even)]
        else:
            parts.append(_Part(rows, keep, alone))
    return parts


def _prefix(observer: Observer, batch_only: Pass) -> int:
    size = observer.batch_size
    total = observer.batch.samples
    return total if total <= SAMPLES else max(size, SAMPLES // size * size)


def _restricted(like: Pass, paths: frozenset[str]) -> Pass:
    calls = [{p: c for p, c in window.items() if p in paths} for window in like.calls]
    return Pass(like.outputs, calls, like.seen, like.penalty, like.flags)


def _bisect(
    order: list[str],
    divergences: dict[str, float],
    worth: Callable[[Sequence[int]], dict[int, float]],
    costs: Costs,
) -> tuple[dict[str, float], float]:
    """Open the groups that carry something, level by level, the largest first as long as passes are left for them."""
    known = {0: 0.0, len(order): 1.0}
    groups, closed = [(0, len(order))], []
    while groups:
        groups.sort(key=lambda g: -abs(known[g[1]] - known[g[0]]))
        opened: dict[tuple[int, int], int] = {}
        planned = costs.spent
        for low, high in groups:
            middle = (low + high) // 2
            worth_it = high - low > 1 and abs(known[high] - known[low]) >= RESOLUTION
            if worth_it and planned + costs.cost(middle) <= PASSES:
                opened[low, high] = middle
                planned += costs.cost(middle)
            else:
                closed.append((low, high))
        known |= worth(list(opened.values())) if opened else {}
        groups = [part for (low, high), middle in opened.items() for part in ((low, middle), (middle, high))]
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
