"""Who depends on whom in a flat graph."""

from __future__ import annotations

from collections.abc import Iterable

from analyzers.subjects.saved_model_graph import FlatGraph


def topological(flat: FlatGraph) -> list[str]:
    """Names of all nodes, each after those that it takes from."""
    done: dict[str, None] = {}
    for start in flat.nodes:
        waiting = [(start, False)]
        while waiting:
            name, ready = waiting.pop()
            if ready:
                done[name] = None
            elif name not in done:
                waiting.append((name, True))
                before = (i.lstrip("^").rpartition(":")[0] or i.lstrip("^") for i in flat.nodes[name].input)
                waiting += [(b, False) for b in before if b not in done]
    return list(done)


def outputs_of(flat: FlatGraph) -> dict[str, list[str]]:
    """The tensors of each node that anybody takes."""
    outputs: dict[str, list[str]] = {}
    for tensor in flat.consumers:
        outputs.setdefault(tensor.rpartition(":")[0], []).append(tensor)
    return outputs


def forward(flat: FlatGraph, starts: Iterable[str]) -> set[str]:
    """The nodes that depend on those named, these included."""
    outputs = outputs_of(flat)
    seen = set(starts)
    waiting = list(seen)
    while waiting:
        for tensor in outputs.get(waiting.pop(), []):
            fresh = {n for n, _ in flat.consumers[tensor]} - seen
            seen |= fresh
            waiting += fresh
    return seen


def useful(flat: FlatGraph) -> set[str]:
    """The nodes that the results of the graph are computed from."""
    waiting = [t.rpartition(":")[0] for t in flat.results]
    seen = set(waiting)
    while waiting:
        node = flat.nodes[waiting.pop()]
        fresh = {t.rpartition(":")[0] for t in flat.data_inputs(node)} - seen
        seen |= fresh
        waiting += fresh
    return seen
