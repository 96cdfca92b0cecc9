"""A traced function as one flat graph: every function that it calls put in its place.

A SavedModel keeps a model as functions that call functions. What a layer normalizes by stands some calls deep, out of
reach for feeding and fetching. Here the calls are replaced by their bodies, names joined with `/`, side effects kept
in their order. Loops stay calls: their bodies run more than once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from analyzers.errors import ModelNeedsCustomCode, ModelUnsafe

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
BRANCHES = frozenset({"If", "StatelessIf"})
PASSING_ON = frozenset({"Identity", "StopGradient", "PreventGradient", "CheckNumerics", "EnsureShape", "Snapshot"})
"""Operations whose first output is their first input."""

MAX_NODES = 500_000
"""Nodes of one flat graph. EfficientNetV2-L has 20 000; functions that call each other twice double with each depth."""

MAX_DEPTH = 100
"""Calls inside calls. Keras nests one for each layer of layers."""

Node = Any
"""A `NodeDef`."""


@dataclass
class FlatGraph:
    """Nodes by name. Inputs are "name:index" for tensors and "^name" for what must run before.

    `functions` holds what is still called by name, `results` the tensors that the function returns, in its order.
    """

    nodes: dict[str, Node]
    functions: dict[str, Any]
    results: list[str]
    versions: Any
    consumers: dict[str, list[tuple[str, int]]] = field(default_factory=dict)

    def index(self) -> None:
        """Note who takes each tensor: (node, position) each."""
        self.consumers = {}
        for node in self.nodes.values():
            for position, name in enumerate(node.input):
                if not name.startswith("^"):
                    self.consumers.setdefault(name, []).append((node.name, position))

    def producer(self, tensor: str) -> Node:
        """The node behind a tensor."""
        return self.nodes[tensor.rpartition(":")[0]]

    def source(self, tensor: str) -> str:
        """The tensor behind operations that only pass it on."""
        while (node := self.producer(tensor)).op in PASSING_ON and node.input:
            tensor = node.input[0]
        return tensor

    def data_inputs(self, node: Node) -> list[str]:
        """The tensors that a node takes."""
        return [name for name in node.input if not name.startswith("^")]

    def constant(self, tensor: str) -> Any:
        """The value of a tensor that is a constant, as a NumPy array; None for any other."""
        node = self.producer(self.source(tensor))
        return tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None


def flatten(function: Any, values: Mapping[str, bool] | None = None) -> FlatGraph:
    """The flat graph of a concrete function.

    `values` gives boolean arguments by the name of their placeholder; branches that hang on them are decided.

    Raises:
        ModelUnsafe: calls without end, or absurdly many nodes.
        ModelNeedsCustomCode: an operation that this TensorFlow does not have.
    """
    graph_def = function.graph.as_graph_def()
    library = {f.signature.name: f for f in graph_def.library.function}
    inliner = _Inliner(library)
    for name, value in (values or {}).items():
        inliner.redirect[f"{name}:0"] = inliner.constant(f"{name}/decided", value)
    inliner.add([_normalized(n) for n in graph_def.node if n.name not in (values or {})], "", [])
    results = [inliner.resolved(t.name) for t in function.graph.outputs]
    return inliner.finish(results, graph_def.versions)


class _Inliner:
    """Collects nodes of all depths; `redirect` says what stands for a tensor or node that is not there any more."""

    def __init__(self, library: dict[str, Any]) -> None:
        self.library = library
        self.nodes: dict[str, Node] = {}
        self.redirect: dict[str, str] = {}
        self.waiting: list[tuple[Node, int]] = []

    def constant(self, name: str, value: bool) -> str:
        node = tf.compat.v1.NodeDef(name=name, op="Const")
        node.attr["dtype"].type = tf.bool.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        self.nodes[name] = node
        return f"{name}:0"

    def add(self, nodes: Iterable[Node], prefix: str, after: list[str], depth: int = 0) -> None:
        """Add a body whose inputs are in the flat form; `after` must run before all that stands on nothing else."""
        for node in nodes:
            node.name, node.device = prefix + node.name, ""
            node.attr.pop("_class", None)  # placement beside a node that may be gone
            inputs = [f"^{prefix}{i[1:]}" if i.startswith("^") else prefix + i for i in node.input]
            independent = not any(not i.startswith("^") for i in inputs) or is_stateful(node)
            del node.input[:]
            node.input.extend(inputs + (after if independent and node.op != "Placeholder" else []))
            self.nodes[node.name] = node
            if node.op in CALLS | BRANCHES or node.op in self.library:
                self.waiting.append((node, depth))
        if len(self.nodes) > MAX_NODES:
            raise ModelUnsafe(f"The model's graph has more than {MAX_NODES} operations. No real model's has.")

    def finish(self, results: list[str], versions: Any) -> FlatGraph:
        later: list[tuple[Node, int]] = []
        while self.waiting:
            for node, depth in self._drain():
                name = self._callee(node)
                if name is None:
                    later.append((node, depth))
                else:
                    self._inline(node, self.library[name], depth)
            if self.waiting:
                self.waiting += later
                later = []
        for node in self.nodes.values():
            resolved = [self.resolved(i) for i in node.input]
            del node.input[:]
            node.input.extend(_each_once(resolved))
        flat = FlatGraph(self.nodes, self.library, [self.resolved(r) for r in results], versions)
        flat.index()
        return flat

    def _drain(self) -> list[tuple[Node, int]]:
        taken, self.waiting = self.waiting, []
        return taken

    def _callee(self, node: Node) -> str | None:
        if node.op in self.library:
            return str(node.op)
        if node.op in CALLS:
            name = node.attr["f"].func.name
            return name if name in self.library else None
        decided = self._decided(node.input[0])
        return None if decided is None else str(node.attr["then_branch" if decided else "else_branch"].func.name)

    def _decided(self, tensor: str) -> bool | None:
        """The value of a condition, where it is known by now."""
        while True:
            node = self.nodes.get((tensor := self.resolved(tensor)).rpartition(":")[0])
            if node is None or node.op not in PASSING_ON | {"Const", "LogicalNot"}:
                return None
            if node.op == "Const":
                return bool(tf.make_ndarray(node.attr["value"].tensor))
            if node.op == "LogicalNot":
                inner = self._decided(node.input[0])
                return None if inner is None else not inner
            tensor = node.input[0]

    def _inline(self, call: Node, function: Any, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise ModelUnsafe("The model's functions call each other without end.")
        given = [i for i in call.input if not i.startswith("^")][1 if call.op in BRANCHES else 0 :]
        after = [i for i in call.input if i.startswith("^")]
        prefix, name = f"{call.name}/", call.name
        del self.nodes[name]
        nodes, returns = _body(function, self.library)
        for argument, tensor in zip(function.signature.input_arg, given, strict=True):
            self.redirect[f"{prefix}{argument.name}:0"] = tensor
            self.redirect[f"^{prefix}{argument.name}"] = f"^{tensor.rpartition(':')[0]}"
        self.add(nodes, prefix, after, depth + 1)
        for i, tensor in enumerate(returns):
            self.redirect[f"{name}:{i}"] = prefix + tensor
        done = tf.compat.v1.NodeDef(name=f"{prefix}done", op="NoOp")
        last = [*function.control_ret.values(), *(t.rpartition(":")[0] for t in returns)]
        done.input.extend([*(f"^{prefix}{n}" for n in dict.fromkeys(last)), *after])
        self.nodes[done.name] = done
        self.redirect[f"^{name}"] = f"^{done.name}"

    def resolved(self, name: str) -> str:
        while name in self.redirect:
            name = self.redirect[name]
        return name


def _normalized(node: Node) -> Node:
    """A copy of a node of a graph, with the index 0 of tensors written out."""
    copy = tf.compat.v1.NodeDef()
    copy.CopyFrom(node)
    for i, name in enumerate(copy.input):
        if not name.startswith("^") and ":" not in name:
            copy.input[i] = f"{name}:0"
    return copy


def _body(function: Any, library: Mapping[str, Any]) -> tuple[list[Node], list[str]]:
    """Copies of a function's nodes with inputs in the form of graphs, and the tensors that it returns."""
    flat = {a.name: f"{a.name}:0" for a in function.signature.input_arg}
    for node in function.node_def:
        outputs = enumerate(_outputs(node, library))
        flat.update((f"{node.name}:{nested}", f"{node.name}:{i}") for i, (nested, _) in outputs)
    copies = []
    for node in function.node_def:
        copy = tf.compat.v1.NodeDef()
        copy.CopyFrom(node)
        for i, name in enumerate(copy.input):
            copy.input[i] = name if name.startswith("^") else flat[name]
        copies.append(copy)
    return copies, [flat[function.ret[a.name]] for a in function.signature.output_arg]


def _outputs(node: Node, library: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The names "output:index" of all outputs of a node, in order, with their types."""
    definition = library[node.op].signature if node.op in library else op_def_registry.get(node.op)
    if definition is None:
        raise ModelNeedsCustomCode(
            f"The model uses the operation `{node.op[:80]}`, which is no part of TensorFlow {tf.__version__}."
        )
    for output in definition.output_arg:
        if output.type_list_attr:
            kinds = list(node.attr[output.type_list_attr].list.type)
        else:
            count = node.attr[output.number_attr].i if output.number_attr else 1
            kinds = [output.type or node.attr[output.type_attr].type] * count
        yield from ((f"{output.name}:{i}", kind) for i, kind in enumerate(kinds))


def type_of(flat: FlatGraph, tensor: str) -> Any:
    """The `DType` of a tensor."""
    node = flat.producer(tensor)
    kinds = [kind for _, kind in _outputs(node, flat.functions)]
    return tf.as_dtype(kinds[int(tensor.rpartition(":")[2])])


def is_stateful(node: Node) -> bool:
    """Whether an operation does more than compute its outputs from its inputs."""
    definition = op_def_registry.get(node.op)
    return definition is None or bool(definition.is_stateful)


def _each_once(inputs: list[str]) -> list[str]:
    """Tensors in their order, then each control input once."""
    data = [i for i in inputs if not i.startswith("^")]
    return data + list(dict.fromkeys(i for i in inputs if i.startswith("^")))
