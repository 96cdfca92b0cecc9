"""One phase of a SavedModel, ready to run with any statistics at its sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from analyzers.subjects.saved_model_flow import useful
from analyzers.subjects.saved_model_functions import Traced
from analyzers.subjects.saved_model_graph import flatten
from analyzers.subjects.saved_model_rewriting import SEED, Plan, Recipe, draws, plan
from analyzers.subjects.saved_model_sites import Moving, find_calls

Pair = tuple[NDArray[Any], NDArray[Any]]
Key = tuple[str, int]


@dataclass(frozen=True)
class PhaseRun:
    """What one run gave: `results` and, where known, the `logits` behind them; by site and call the statistics that
    were taken from the batch and the recorded moments of the input: (values a sample and channel, mean, variance).
    """

    results: list[Any]
    logits: list[Any]
    applied: dict[Key, Pair]
    seen: dict[Key, tuple[float, NDArray[Any], NDArray[Any]]]


class Phase:
    """The flat graph of a traced function with its sites. `handles` are the mean's and variance's, by path."""

    def __init__(self, traced: Traced, handles: Mapping[str, tuple[Any, Any]]) -> None:
        self.traced = traced
        self.flat = flatten(traced.concrete, traced.decided)
        placeholders = traced.concrete.graph.internal_captures
        self.captured = {p.op.name: h for p, h in zip(placeholders, traced.concrete.captured_inputs, strict=True)}
        self.sites = {p: m for p, pair in handles.items() if (m := self._moving(*pair)) is not None}
        self.calls = find_calls(self.flat, self.sites, traced.placeholders)
        self.random = draws(self.flat, sorted(useful(self.flat)))
        self._ready: dict[Recipe, tuple[Plan, Any]] = {}

    def uses_batch(self, path: str) -> bool:
        """Whether a site normalizes by its batch in this phase."""
        return any(call.uses_batch for call in self.calls.by_site.get(path, []))

    def run(
        self, inputs: Sequence[NDArray[Any]], recipe: Recipe, given: Mapping[Key, Pair], seed: tuple[int, int]
    ) -> PhaseRun:
        """One run over one batch. `given` has the statistics of every call of the sites that take none of the batch."""
        drawn, function = self._built(recipe)
        statistics = [a for key in drawn.given for a in given[key]]
        fetched = iter(function(*inputs, np.asarray(seed, np.int64), *(np.asarray(a, np.float32) for a in statistics)))
        results = [next(fetched) for _ in drawn.results]
        logits = [None if t is None else next(fetched) for t in drawn.logits]
        applied = {key: (next(fetched).numpy(), next(fetched).numpy()) for key in drawn.applied}
        seen = {key: self._seen(key, *(next(fetched).numpy() for _ in range(3))) for key in drawn.seen}
        return PhaseRun(results, logits, applied, seen)

    def _seen(self, key: Key, shape: Any, mean: Any, variance: Any) -> tuple[float, Any, Any]:
        axis = self.calls.by_site[key[0]][key[1]].axis
        return float(shape[1 if axis == -1 else 2]), mean, variance

    def _moving(self, mean: Any, variance: Any) -> Moving | None:
        names = [next((n for n, h in self.captured.items() if h is v.handle), None) for v in (mean, variance)]
        if names[0] is None or names[1] is None:
            return None
        return Moving(names[0], names[1], int(mean.shape[0]))

    def _built(self, recipe: Recipe) -> tuple[Plan, Any]:
        if recipe not in self._ready:
            made = plan(self.flat, self.calls.by_site, self.sites, recipe)
            self._ready[recipe] = (made, _function(made, self.traced, self.captured))
        return self._ready[recipe]


def _function(made: Plan, traced: Traced, captured: Mapping[str, Any]) -> Any:
    """The plan's graph as a function of the inputs, the seed and the given statistics, in the order of the plan."""
    names = [*traced.placeholders, SEED, *(t.rpartition(":")[0] for pair in made.given.values() for t in pair)]
    fetched = [*made.results, *(t for t in made.logits if t), *_flat(made.applied), *_flat(made.seen)]
    inside = {node.name for node in made.graph.node}

    def run(*arguments: Any) -> list[Any]:
        graph = tf.compat.v1.get_default_graph()
        fed = dict(zip(names, arguments, strict=True))
        fed.update({n: graph.capture(h) for n, h in captured.items() if n in inside})
        mapping = {f"{n}:0": t for n, t in fed.items() if n in inside}
        return list(tf.graph_util.import_graph_def(made.graph, input_map=mapping, return_elements=fetched, name=""))

    given = [tf.TensorSpec(None, tf.float32)] * (2 * len(made.given))
    signature = [*(tf.TensorSpec(s.shape, s.dtype) for s in traced.specs), tf.TensorSpec([2], tf.int64), *given]
    return tf.function(run, input_signature=signature, autograph=False)


def _flat(groups: Mapping[Key, tuple[str, ...]]) -> list[str]:
    return [t for group in groups.values() for t in group]
