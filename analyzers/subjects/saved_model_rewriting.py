"""A flat graph with switches: any statistics at any call of a site, and a seed in place of hidden random states.

Each call of a batch-normalizing site gets its mean and variance from a place where either given statistics or those of
the batch stand. The graph's own arithmetic does the rest, so that a replay of recorded statistics gives the recorded
output. The moving variables are never written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from analyzers.subjects.saved_model_graph import FlatGraph, Node, is_stateful, type_of
from analyzers.subjects.saved_model_nodes import Nodes
from analyzers.subjects.saved_model_sites import ASSIGNMENTS, Moving, NormCall

SEED = "phasegap_seed"
"""The placeholder for two int64 from which every random draw follows."""

STATELESS = {
    "RandomUniform": "StatelessRandomUniform",
    "RandomStandardNormal": "StatelessRandomNormal",
    "TruncatedNormal": "StatelessTruncatedNormal",
    "RandomUniformInt": "StatelessRandomUniformInt",
}
"""Random operations that hide their state, and those that take it as an input."""

KEPT = ("Assign", "ResourceScatter", "Rng", "StatefulRandom", "StatefulUniform", "StatefulTruncated")
"""Side effects that belong to a pass: states of recurrent layers, of random generators, of spectral normalization."""


@dataclass(frozen=True)
class Recipe:
    """Which sites take the statistics of the batch, and at which the moments of the input are recorded; the others
    take given ones. Without `outputs` nothing behind the recorded sites is run.
    """

    batch: frozenset[str]
    record: frozenset[str]
    outputs: bool = True


@dataclass(frozen=True)
class Plan:
    """A graph to run: the placeholders to feed beside the model's inputs and handles, and the tensors to fetch.

    `given` are the placeholders of mean and variance, `applied` and `seen` the fetched tensors, by site and call.
    """

    graph: Any
    given: dict[tuple[str, int], tuple[str, str]]
    results: list[str]
    logits: list[str | None]
    applied: dict[tuple[str, int], tuple[str, str]]
    seen: dict[tuple[str, int], tuple[str, str, str]]


def plan(flat: FlatGraph, calls: Mapping[str, list[NormCall]], sites: Mapping[str, Moving], recipe: Recipe) -> Plan:
    """The graph that `recipe` describes, without anything that it does not need."""
    nodes = Nodes(flat)
    given: dict[tuple[str, int], tuple[str, str]] = {}
    applied: dict[tuple[str, int], tuple[str, str]] = {}
    seen: dict[tuple[str, int], tuple[str, str, str]] = {}
    for number, (path, own) in enumerate(calls.items()):
        for k, call in enumerate(own):
            key, prefix = (path, k), f"phasegap/{number}/{k}"
            grouped = _grouped(nodes, prefix, call, sites[path].channels)
            if path in recipe.record:
                seen[key] = _sample_moments(nodes, prefix, grouped, call.axis)
            if path in recipe.batch:
                pair = applied[key] = _batch_statistics(nodes, prefix, call, grouped, sites[path].channels)
            else:
                pair = given[key] = _placeholders(nodes, prefix, sites[path].channels)
            _splice(nodes, prefix, call, pair, sites[path].channels)
    _quieten(nodes, {h for m in sites.values() for h in (m.mean, m.variance)})
    _seed(nodes)
    results = flat.results if recipe.outputs else []
    logits = [_logits(flat, t) for t in results]
    wanted = [*results, *(t for t in logits if t), *_flat(applied.values()), *_flat(seen.values())]
    return Plan(nodes.pruned(wanted, KEPT), given, results, logits, applied, seen)


def draws(flat: FlatGraph, useful: Iterable[str]) -> list[str]:
    """Names of the nodes that draw random numbers, in loops too."""
    loops = {name for name, f in flat.functions.items() if any(_is_random(n.op) for n in f.node_def)}
    found = []
    for name in useful:
        node = flat.nodes[name]
        called = {a.func.name for a in node.attr.values() if a.WhichOneof("value") == "func"}
        if _is_random(node.op) or called & loops:
            found.append(name)
    return found


def _is_random(op: str) -> bool:
    bare = op.removeprefix("Stateless").removeprefix("Stateful")
    seeded = bare.startswith(
        ("Random", "TruncatedNormal", "Multinomial", "StandardNormal", "Uniform", "ParameterizedT")
    )
    return seeded and not op.startswith(("RandomShuffleQueue", "StatelessRandomGet", "Uniform"))


def _flat(groups: Iterable[tuple[str, ...]]) -> list[str]:
    return [t for group in groups for t in group]


def _grouped(nodes: Nodes, prefix: str, call: NormCall, channels: int) -> str:
    """The site's input as float32 in three dimensions: samples, then channels and all the rest in the order of axis."""
    tensor = call.inputs
    if type_of(nodes.flat, tensor) != tf.float32:
        tensor = nodes.add(f"{prefix}/float", "Cast", [tensor], SrcT=type_of(nodes.flat, tensor), DstT=tf.float32)
    shape = nodes.add(f"{prefix}/shape", "Shape", [tensor], T=tf.float32, out_type=tf.int32)
    first = [nodes.constant(f"{prefix}/zero", np.int32(0)), nodes.constant(f"{prefix}/along", np.int32(0))]
    samples = nodes.add(
        f"{prefix}/samples", "GatherV2", [shape, *first], Tparams=tf.int32, Tindices=tf.int32, Taxis=tf.int32
    )
    rest = nodes.constant(f"{prefix}/rest", np.int32(-1))
    width = nodes.constant(f"{prefix}/channels", np.int32(channels))
    sizes = [samples, rest, width] if call.axis == -1 else [samples, width, rest]
    target = nodes.add(f"{prefix}/sizes", "Pack", sizes, N=3, T=tf.int32, axis=0)
    return nodes.add(f"{prefix}/grouped", "Reshape", [tensor, target], T=tf.float32, Tshape=tf.int32)


def _moments(nodes: Nodes, prefix: str, grouped: str, axes: list[int]) -> tuple[str, str]:
    """Mean and biased variance over `axes`, the variance around that mean."""
    over = nodes.constant(f"{prefix}/over", np.asarray(axes, np.int32))
    kinds = {"T": tf.float32, "Tidx": tf.int32}
    mean = nodes.add(f"{prefix}/mean", "Mean", [grouped, over], keep_dims=False, **kinds)
    kept = nodes.add(f"{prefix}/kept", "Mean", [grouped, over], keep_dims=True, **kinds)
    squares = nodes.add(f"{prefix}/squares", "SquaredDifference", [grouped, kept], T=tf.float32)
    return mean, nodes.add(f"{prefix}/variance", "Mean", [squares, over], keep_dims=False, **kinds)


def _sample_moments(nodes: Nodes, prefix: str, grouped: str, axis: int) -> tuple[str, str, str]:
    shape = nodes.add(f"{prefix}/grouped_shape", "Shape", [grouped], T=tf.float32, out_type=tf.int32)
    return (shape, *_moments(nodes, f"{prefix}/seen", grouped, [1] if axis == -1 else [2]))


def _batch_statistics(nodes: Nodes, prefix: str, call: NormCall, grouped: str, channels: int) -> tuple[str, str]:
    """The graph's own statistics of the batch, (channels,) float32 each, or, where it has none, ours."""
    if call.fused is not None or not call.uses_batch:
        return _moments(nodes, f"{prefix}/batch", grouped, [0, 1] if call.axis == -1 else [0, 2])
    width = nodes.constant(f"{prefix}/width", np.asarray([channels], np.int32))
    own = []
    for what, tensor in (("mean", call.mean), ("variance", call.variance)):
        kind = type_of(nodes.flat, tensor)
        flat = nodes.add(f"{prefix}/own_{what}", "Reshape", [tensor, width], T=kind, Tshape=tf.int32)
        if kind != tf.float32:
            flat = nodes.add(f"{prefix}/own_{what}_float", "Cast", [flat], SrcT=kind, DstT=tf.float32)
        own.append(flat)
    return own[0], own[1]


def _placeholders(nodes: Nodes, prefix: str, channels: int) -> tuple[str, str]:
    shape = tf.TensorShape([channels])
    mean = nodes.add(f"{prefix}/given_mean", "Placeholder", [], dtype=tf.float32, shape=shape)
    return mean, nodes.add(f"{prefix}/given_variance", "Placeholder", [], dtype=tf.float32, shape=shape)


def _splice(nodes: Nodes, prefix: str, call: NormCall, pair: tuple[str, str], channels: int) -> None:
    """Let the call normalize by `pair`."""
    if call.fused is not None:
        node = nodes.own(call.fused)
        node.attr["is_training"].b = False
        if "exponential_avg_factor" in node.attr:
            node.attr["exponential_avg_factor"].f = 1.0
        node.input[3], node.input[4] = pair
        return
    for what, tensor, new in (("mean", call.mean, pair[0]), ("variance", call.variance, pair[1])):
        shaped = _shaped(nodes, f"{prefix}/{what}", call, new, channels, type_of(nodes.flat, tensor))
        for name, position in nodes.flat.consumers.get(tensor, []):
            nodes.own(name).input[position] = shaped


def _shaped(nodes: Nodes, prefix: str, call: NormCall, tensor: str, channels: int, kind: Any) -> str:
    """A statistic (channels,) with the type and dimensions that the graph's own has."""
    if kind != tf.float32:
        tensor = nodes.add(f"{prefix}_cast", "Cast", [tensor], SrcT=tf.float32, DstT=kind)
    if call.rank == 1:
        return tensor
    where = call.rank - 1 if call.axis == -1 else call.axis
    sizes = np.asarray([channels if i == where else 1 for i in range(call.rank)], np.int32)
    shape = nodes.constant(f"{prefix}_sizes", sizes)
    return nodes.add(f"{prefix}_spread", "Reshape", [tensor, shape], T=kind, Tshape=tf.int32)


def _quieten(nodes: Nodes, handles: set[str]) -> None:
    """Let nothing write to the moving variables."""
    for handle in handles:
        for name, _ in nodes.flat.consumers.get(f"{handle}:0", []):
            if nodes.flat.nodes[name].op in ASSIGNMENTS:
                nodes.silence(name)


def _seed(nodes: Nodes) -> None:
    """Give random operations their seed as an input; those that take none get a fixed one.

    They are numbered by themselves, so that both phases of a model that draws in both draw the same.
    """
    seeded = [n for n, node in nodes.flat.nodes.items() if "seed2" in node.attr and is_stateful(node)]
    for number, name in enumerate(seeded):
        if nodes.flat.nodes[name].op in STATELESS:
            _make_stateless(nodes, name, number)
        else:
            _fix_seed(nodes.own(name), number)
    for function in nodes.library.values():
        for number, node in enumerate(function.node_def):
            if "seed2" in node.attr:
                _fix_seed(node, number)


def _make_stateless(nodes: Nodes, name: str, number: int) -> None:
    nodes.add(SEED, "Placeholder", [], dtype=tf.int64, shape=tf.TensorShape([2]))
    offset = nodes.constant(f"{name}/phasegap_offset", np.asarray([0, number], np.int64))
    seed = nodes.add(f"{name}/phasegap_seed", "AddV2", [f"{SEED}:0", offset], T=tf.int64)
    node = nodes.own(name)
    kind = node.attr["Tout" if node.op == "RandomUniformInt" else "dtype"].type
    shape_kind = node.attr["T"].type
    inputs = [node.input[0], seed, *node.input[1:]]
    node.op = STATELESS[node.op]
    node.attr.clear()
    node.attr["dtype"].type, node.attr["T"].type = kind, shape_kind
    node.attr["Tseed"].type = tf.int64.as_datatype_enum
    del node.input[:]
    node.input.extend(inputs)


def _fix_seed(node: Node, number: int) -> None:
    if not node.attr["seed"].i and not node.attr["seed2"].i:
        node.attr["seed"].i, node.attr["seed2"].i = 1, number + 1


def _logits(flat: FlatGraph, tensor: str) -> str | None:
    """What stands before a softmax or sigmoid at the end."""
    node = flat.producer(flat.source(tensor))
    return str(node.input[0]) if node.op in ("Softmax", "Sigmoid") else None
