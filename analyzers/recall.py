"""Runs the part of a pass again that a change reaches: what layers gave before it is taken from memory.

Passes that replace the statistics of more and more layers, in order of data flow, are alike up to the first layer that
differs. A `Recall` keeps what every layer gave, call by call; a later pass is served from it up to that layer and
computed from there on. The order of calls is that of the program, so whatever a model is made of, all that comes before
a call in that order is the same; layers inside of layers are served too, sums between layers are computed again.

Kept for `limit_bytes` at most: beyond, other windows are forgotten; where one alone is more, passes are run whole. A
pass over a functional model holds all that its layers gave until its end, so that keeping it takes no more at the peak.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import keras
import tensorflow as tf

from analyzers.subjects.families import is_a
from analyzers.subjects.keras_model import KerasSubject, children

LIMIT_BYTES = 3 << 29
"""1.5 GiB: ten images of 224 x 224 in ResNet-50, 137 MB each. A default guest has that to spare twice."""


def room(memory_bytes: int | None) -> int:
    """What may be kept where all may take so much: the same everywhere but where there is less than by default, since
    what is kept decides how many passes the shares get.
    """
    return LIMIT_BYTES if memory_bytes is None else min(LIMIT_BYTES, memory_bytes * 3 // 8)


class Recall:
    """Serves calls of the layers of one subject. A context manager, inside of its switchboard's; one thread."""

    def __init__(self, subject: KerasSubject, limit_bytes: int = LIMIT_BYTES) -> None:
        leaves = [x for _, x in subject.layers if not children(x) and not is_a(x, "InputLayer")]
        self._layers = list({id(x): x for x in leaves}.values())
        self._limit_bytes, self._bytes = limit_bytes, 0
        self._windows: dict[int, list[tuple[Any, Any]]] = {}
        self._record: list[tuple[Any, Any]] = []
        self._at = self._stop = 0
        self._keep = self._full = False

    def __enter__(self) -> Recall:
        self._before = [(x, vars(x).get("call")) for x in self._layers]
        for layer in self._layers:
            object.__setattr__(layer, "call", self._remembering(layer, layer.call))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for layer, before in self._before:
            if before is None:
                object.__delattr__(layer, "call")
            else:
                object.__setattr__(layer, "call", before)
        self._windows.clear()

    @property
    def is_full(self) -> bool:
        """Whether one window is more than it may keep, so that it keeps nothing."""
        return self._full

    def holds(self, window: int) -> bool:
        """Whether anything is remembered of a window."""
        return bool(self._windows.get(window))

    def begin(self, window: int, until: Any) -> None:
        """Before a pass over one window: serve calls up to the first one of the layer `until`, None: none at all. What
        is computed from there on is remembered, in place of what was.
        """
        self._record = self._windows.setdefault(window, [])
        numbers = (i for i, (layer, _) in enumerate(self._record) if layer is until)
        self._at, self._stop = 0, next(numbers, 0)
        self._keep = not self._full
        self._forget(self._record, self._stop)

    def _remembering(self, layer: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            number, self._at = self._at, self._at + 1
            if number < self._stop and self._record[number][0] is layer:
                return self._record[number][1]
            self._stop = min(self._stop, number)
            outputs = original(*args, **kwargs)
            if self._keep:
                self._remember(layer, outputs)
            return outputs

        return call

    def _remember(self, layer: Any, outputs: Any) -> None:
        self._record.append((layer, outputs))
        self._bytes += _bytes(outputs)
        if self._bytes > self._limit_bytes:
            for record in self._windows.values():
                self._forget(record, 0 if record is not self._record else len(record))
        if self._bytes > self._limit_bytes or not tf.executing_eagerly():  # in a graph nothing has a value to keep
            self._full, self._keep, self._stop = True, False, 0
            self._forget(self._record, 0)

    def _forget(self, record: list[tuple[Any, Any]], start: int) -> None:
        self._bytes -= sum(_bytes(outputs) for _, outputs in record[start:])
        del record[start:]


def _bytes(outputs: Any) -> int:
    tensors = [t for t in keras.tree.flatten(outputs) if isinstance(t, tf.Tensor)]
    return sum(int(t.dtype.size) * int(tf.size(t)) for t in tensors if t.shape.is_fully_defined())
