"""Editing a flat graph: nodes added, changed on copies, and everything cut off that is not needed."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.core.framework.function_pb2 import FunctionDef

from analyzers.subjects.saved_model_graph import FlatGraph, Node, is_stateful


class Nodes:
    """A flat graph under change; the original stays as it is."""

    def __init__(self, flat: FlatGraph) -> None:
        self.flat = flat
        self.changed: dict[str, Node] = {}
        self.library = {name: _copied(f, FunctionDef()) for name, f in flat.functions.items()}

    def own(self, name: str) -> Node:
        """The node as a copy that may be changed."""
        if name not in self.changed:
            self.changed[name] = _copied(self.flat.nodes[name], tf.compat.v1.NodeDef())
        return self.changed[name]

    def add(self, name: str, op: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node, or find that it is there; returns its first output."""
        node = tf.compat.v1.NodeDef(name=name, op=op)
        node.input.extend(inputs)
        for key, value in attributes.items():
            _set(node.attr[key], value)
        self.changed[name] = node
        return f"{name}:0"

    def constant(self, name: str, value: Any) -> str:
        """Add a constant."""
        tensor = tf.make_tensor_proto(value)
        node = tf.compat.v1.NodeDef(name=name, op="Const")
        node.attr["dtype"].type = tensor.dtype
        node.attr["value"].tensor.CopyFrom(tensor)
        self.changed[name] = node
        return f"{name}:0"

    def silence(self, name: str) -> None:
        """Let a node do nothing but keep its place in the order."""
        node = self.own(name)
        waits = [i for i in node.input if i.startswith("^")]
        node.op = "NoOp"
        node.attr.clear()
        del node.input[:]
        node.input.extend(waits)

    def node(self, name: str) -> Node:
        """The node as it is now."""
        return self.changed.get(name) or self.flat.nodes[name]

    def pruned(self, wanted: list[str], effects: tuple[str, ...]) -> Any:
        """A `GraphDef` with what `wanted` tensors need, and the side effects whose operations begin like `effects`."""
        names = [*self.flat.nodes, *(n for n in self.changed if n not in self.flat.nodes)]
        roots = [n for n in names if (x := self.node(n)).op.startswith(effects) and is_stateful(x)]
        waiting = [*(t.rpartition(":")[0] for t in wanted), *roots]
        kept: dict[str, Node] = {}
        while waiting:
            name = waiting.pop()
            if name not in kept:
                kept[name] = self._without_idle_waits(self.node(name))
                waiting += [i[1:] if i.startswith("^") else i.rpartition(":")[0] for i in kept[name].input]
        graph = tf.compat.v1.GraphDef()
        graph.versions.CopyFrom(self.flat.versions)
        graph.node.extend(kept[n] for n in names if n in kept)
        graph.library.function.extend(self.library[n] for n in self._called(list(kept.values())))
        return graph

    def _without_idle_waits(self, node: Node) -> Node:
        """A copy that does not wait for placeholders, which are not there while the graph runs."""
        idle = [i for i in node.input if i.startswith("^") and self.node(i[1:]).op == "Placeholder"]
        if not idle:
            return node
        copy = _copied(node, tf.compat.v1.NodeDef())
        kept = [i for i in node.input if i not in idle]
        del copy.input[:]
        copy.input.extend(kept)
        return copy

    def _called(self, nodes: list[Node]) -> list[str]:
        found: dict[str, None] = {}
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            names = [node.op, *(a.func.name for a in node.attr.values())]
            names += [f.name for a in node.attr.values() for f in a.list.func]
            for name in names:
                if name in self.library and name not in found:
                    found[name] = None
                    waiting += list(self.library[name].node_def)
        return sorted(found)


def _copied(message: Any, into: Any) -> Any:
    into.CopyFrom(message)
    return into


def _set(attribute: Any, value: Any) -> None:
    if isinstance(value, bool):
        attribute.b = value
    elif isinstance(value, tf.DType):
        attribute.type = value.as_datatype_enum
    elif isinstance(value, tf.TensorShape):
        attribute.shape.CopyFrom(value.as_proto())
    else:
        attribute.i = value
