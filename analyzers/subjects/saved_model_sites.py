"""Where a flat graph normalizes by statistics: found by data flow, from the moving variables, never by names.

Two forms are known, and cover what Keras 2, Keras 3 and `tf.nn` write: the fused kernel, which takes the input and both
statistics, and plain arithmetic, in which the variance ends in one factor on the input. In the training phase the
statistics are those that the moving variables are updated with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analyzers.subjects.saved_model_flow import forward, outputs_of, topological, useful
from analyzers.subjects.saved_model_graph import FlatGraph, Node

FUSED = ("FusedBatchNormV3", "FusedBatchNormV2", "FusedBatchNorm")
FACTORS = ("Mul", "RealDiv")
SUMS = ("AddV2", "Add", "Sub")
RESHAPING = ("Cast", "Squeeze", "Reshape", "ExpandDims", "Identity", "StopGradient", "Snapshot")
ASSIGNMENTS = ("AssignVariableOp", "AssignSubVariableOp", "AssignAddVariableOp")
UPDATES = (*ASSIGNMENTS, "NoOp")


@dataclass(frozen=True)
class Moving:
    """A pair of moving variables as one graph holds them: the names of the placeholders of their handles."""

    mean: str
    variance: str
    channels: int


@dataclass(frozen=True)
class NormCall:
    """One call of a batch-normalizing site.

    `inputs` is the tensor that it normalizes, `axis` that of the channels, 1 or -1. `fused` names the kernel's node;
    otherwise `mean` and `variance` are the tensors that hold the statistics, with `rank` dimensions each. `uses_batch`:
    they come from the batch.
    """

    inputs: str
    axis: int
    epsilon: float | None
    uses_batch: bool
    fused: str | None = None
    mean: str = ""
    variance: str = ""
    rank: int = 1


@dataclass(frozen=True)
class Calls:
    """Calls of each site, in order of data flow; `order` lists the sites likewise, `unclear` those not understood."""

    by_site: dict[str, list[NormCall]]
    order: list[str]
    unclear: list[str]


def find_calls(flat: FlatGraph, sites: Mapping[str, Moving], inputs: Iterable[str]) -> Calls:
    """The calls of `sites` in a graph whose model inputs are the placeholders `inputs`."""
    finder = _Finder(flat, inputs)
    rank = {name: i for i, name in enumerate(topological(flat))}
    found: dict[str, list[NormCall]] = {}
    unclear = []
    for path, moving in sites.items():
        calls = finder.calls(moving)
        if calls is None:
            unclear.append(path)
        elif calls:
            found[path] = sorted(calls, key=lambda c: rank[c.inputs.rpartition(":")[0]])
    order = sorted(found, key=lambda p: rank[found[p][0].inputs.rpartition(":")[0]])
    return Calls(found, order, unclear)


class _Finder:
    """Data flow of one graph. `live` nodes depend on the model's inputs; `useful` ones act on its results."""

    def __init__(self, flat: FlatGraph, inputs: Iterable[str]) -> None:
        self.flat = flat
        self.outputs = outputs_of(flat)
        self.live = forward(flat, inputs)
        self.useful = useful(flat)

    def calls(self, moving: Moving) -> list[NormCall] | None:
        """The calls of one site; None where its variables are in use, but not in a way that is understood."""
        found = self._fused(moving)
        stored = self._stored(moving)
        batch = self._batch(moving)
        if stored is None or batch is None:
            return None
        calls = [*found, *stored, *batch]
        if len({c.inputs for c in calls}) < len(calls):
            return None
        used = any(self._frontier(t) for t in (*self._reads(moving.mean), *self._reads(moving.variance)))
        return calls if calls or not used else None

    def _fused(self, moving: Moving) -> list[NormCall]:
        """Kernels that take the stored variance, or whose own variance updates it."""
        nodes = [n for t in self._reads(moving.variance) for n, i in self._frontier(t) if n.op in FUSED and i == 4]
        nodes += [n for t in self._new_values(moving.variance) if (n := self.flat.producer(t)).op in FUSED]
        return [_fused_call(n) for n in {n.name: n for n in nodes}.values() if n.name in self.useful]

    def _stored(self, moving: Moving) -> list[NormCall] | None:
        """Plain arithmetic with the stored statistics; None where it cannot be told apart."""
        found: list[NormCall] = []
        factors: list[Node] = []
        for variance in self._reads(moving.variance):
            ends = [n for n, _ in self._frontier(variance) if n.op in FACTORS]
            if len(ends) > 1:
                return None
            if ends:
                factors += ends
                inputs = self._other(ends[0])
                call = NormCall(inputs, self._axis_of_reshape(variance), self._epsilon(variance), False)
                found.append(replace(call, variance=variance))
        result = []
        for call, factor in zip(found, factors, strict=True):
            means = [(m, n) for m in self._reads(moving.mean) if (n := self._centring(m, call.inputs, factor))]
            if len(means) != 1:
                return None
            mean, node = means[0]
            before = self.flat.producer(call.inputs).name == node.name
            inputs = self._other(node) if before else call.inputs
            result.append(replace(call, mean=mean, inputs=self._uncast(inputs)))
        return result

    def _centring(self, mean: str, scaled: str, factor: Node) -> Node | None:
        """The node that takes the mean off: the one behind the factor on the input, or the one before it."""
        ends = [n for n, _ in self._frontier(mean) if n.op in SUMS]
        before = self.flat.producer(scaled).name
        for node in ends:
            if node.name == before or any(self._comes_from(t, factor) for t in self.flat.data_inputs(node)):
                return node
        return None

    def _batch(self, moving: Moving) -> list[NormCall] | None:
        """Plain arithmetic with the batch's statistics, known from what the moving variables are updated with."""
        means = [t for t in self._new_values(moving.mean) if self.flat.producer(t).op not in FUSED]
        variances = [t for t in self._new_values(moving.variance) if self.flat.producer(t).op not in FUSED]
        means, variances = self._useful(means), self._useful(variances)
        if len(means) != len(variances) or any(self.flat.producer(t).op != "Mean" for t in means):
            return None
        result = []
        for mean in means:
            own = [v for v in variances if len(variances) == 1 or self._reduced(v) == self._reduced(mean)]
            axes = self.flat.constant(self.flat.producer(mean).input[1])
            axis = None if axes is None else _channel_axis(axes)
            if len(own) != 1 or axis is None:
                return None
            rank = np.size(axes) + 1 if self.flat.producer(mean).attr["keep_dims"].b else 1
            inputs = self._uncast(self.flat.producer(mean).input[0])
            call = NormCall(inputs, axis, self._epsilon(own[0]), True, None, mean, own[0], rank)
            result.append(call)
        return result

    def _useful(self, tensors: list[str]) -> list[str]:
        return [t for t in dict.fromkeys(tensors) if t.rpartition(":")[0] in self.useful]

    def _reduced(self, tensor: str) -> str:
        """The tensor behind a reduction and the arithmetic of one value in it."""
        tensor = self.flat.producer(tensor).input[0]
        node = self.flat.producer(tensor)
        if node.op == "SquaredDifference":
            tensor = node.input[0]
        elif node.op == "Square":
            inner = self.flat.producer(node.input[0])
            tensor = inner.input[0] if inner.op == "Sub" else node.input[0]
        return self._uncast(tensor)

    def _reads(self, handle: str) -> list[str]:
        readers = self.flat.consumers.get(f"{handle}:0", [])
        return [f"{n}:0" for n, _ in readers if self.flat.nodes[n].op == "ReadVariableOp"]

    def _new_values(self, handle: str) -> list[str]:
        """What of the batch enters each assignment to a variable."""
        writers = self.flat.consumers.get(f"{handle}:0", [])
        nodes = [self.flat.nodes[n] for n, _ in writers if self.flat.nodes[n].op in ASSIGNMENTS]
        own = forward(self.flat, [t.rpartition(":")[0] for t in self._reads(handle)])
        return [t for n in nodes if (t := self._entering(n.input[1], own)) is not None]

    def _entering(self, tensor: str, own: set[str]) -> str | None:
        """Walk back from an assigned value, past the old value and all that only scales, to what the batch gave."""
        while True:
            node = self.flat.producer(tensor)
            if node.op in FUSED or node.op not in (*FACTORS, *SUMS, *RESHAPING):
                return tensor if node.name in self.live else None
            given = [t for t in self.flat.data_inputs(node) if t.rpartition(":")[0] in self.live]
            if not given:
                return None
            fresh = [t for t in given if self.flat.producer(t).name not in own or self.flat.producer(t).op in FUSED]
            tensor = (fresh or given)[0]

    def _frontier(self, tensor: str) -> list[tuple[Node, int]]:
        """Where a tensor that hangs on variables only meets the model's inputs, in what acts on the results."""
        found, waiting, seen = [], [tensor], {tensor}
        while waiting:
            for name, position in self.flat.consumers.get(waiting.pop(), []):
                node = self.flat.nodes[name]
                if name in self.live:
                    found += [(node, position)] if name in self.useful else []
                elif node.op not in UPDATES:
                    fresh = [t for t in self.outputs.get(name, []) if t not in seen]
                    waiting += fresh
                    seen.update(fresh)
        return found

    def _other(self, node: Node) -> str:
        """The input of `node` that depends on the model's inputs."""
        return next(t for t in self.flat.data_inputs(node) if t.rpartition(":")[0] in self.live)

    def _comes_from(self, tensor: str, node: Node) -> bool:
        return bool(self._uncast(tensor).rpartition(":")[0] == node.name)

    def _uncast(self, tensor: str) -> str:
        while (node := self.flat.producer(tensor)).op in ("Cast", "Identity", "StopGradient", "Snapshot"):
            tensor = node.input[0]
        return tensor

    def _axis_of_reshape(self, tensor: str) -> int:
        """1 where the statistics are spread for channels that come first, else -1."""
        for name, _ in self.flat.consumers.get(tensor, []):
            node = self.flat.nodes[name]
            shape = self.flat.constant(node.input[1]) if node.op == "Reshape" else None
            if shape is not None and np.size(shape) > 2:
                return 1 if shape[1] != 1 else -1
        return -1

    def _epsilon(self, tensor: str) -> float | None:
        """The constant that is added to a variance, a few operations on."""
        waiting = [(tensor, 0)]
        while waiting:
            current, depth = waiting.pop(0)
            for name, _ in self.flat.consumers.get(current, []):
                node = self.flat.nodes[name]
                if node.op in ("AddV2", "Add"):
                    others = [c for t in self.flat.data_inputs(node) if (c := self.flat.constant(t)) is not None]
                    if others and np.size(others[0]) == 1:
                        return float(np.asarray(others[0], dtype=np.float64).reshape(()))
                elif node.op in RESHAPING and depth < 4:
                    waiting.append((f"{name}:0", depth + 1))
        return None


def _fused_call(node: Any) -> NormCall:
    layout = node.attr["data_format"].s.decode() or "NHWC"
    epsilon = float(np.float32(node.attr["epsilon"].f))
    return NormCall(node.input[0], -1 if layout.endswith("C") else 1, epsilon, node.attr["is_training"].b, node.name)


def _channel_axis(axes: Any) -> int | None:
    """The axis that a reduction over `axes` leaves, where it is the last or the second."""
    reduced = sorted(int(a) for a in np.ravel(axes))
    if reduced == list(range(len(reduced))):
        return -1
    return 1 if reduced == [0, *range(2, len(reduced) + 1)] else None
