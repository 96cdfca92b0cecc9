"""Runs the part of a pass again that a change reaches: what layers gave before it is taken from memory.

Passes that replace the statistics of more and more layers, in order of data flow, are alike up to the first layer that
differs. A `Recall` keeps what every layer gave, call by call; a later pass is served from it up to that layer and
computed from there on. The order of calls is that of the program, so whatever a model is made of, all that comes before
a call in that order is the same; layers inside of layers are served too, sums between layers are computed again.

Kept for `limit_bytes` at most: beyond, everything is forgotten and passes are run whole.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import keras
import tensorflow as tf

from analyzers.subjects.families import is_a
from analyzers.subjects.keras_model import KerasSubject, children

LIMIT_BYTES = 1 << 29
"""512 MiB: ResNet-50 on three images of 224 x 224 takes 410. A default guest has four times that to spare."""


class Recall:
    """Serves calls of the layers of one subject. A context manager, inside of its switchboard's; one thread."""

    def __init__(self, subject: KerasSubject, limit_bytes: int = LIMIT_BYTES) -> None:
        leaves = [x for _, x in subject.layers if not children(x) and not is_a(x, "InputLayer")]
        self._layers = list({id(x): x for x in leaves}.values())
        self._limit_bytes, self._bytes = limit_bytes, 0
        self._windows: dict[int, list[tuple[Any, Any]]] = {}
        self._record: list[tuple[Any, Any]] = []
        self._at = self._stop = 0
        self._keep = False

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

    def begin(self, window: int, until: Any, keep: bool) -> None:
        """Before a pass over one window: serve calls up to the first one of the layer `until`, None: none at all.

        `keep`: remember what is computed from there on, in place of what was remembered.
        """
        self._record = self._windows.setdefault(window, [])
        numbers = (i for i, (layer, _) in enumerate(self._record) if layer is until)
        self._at, self._stop = 0, next(numbers, 0)
        self._keep = keep and self._bytes <= self._limit_bytes
        if self._keep:
            self._forget(self._stop)

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
        if self._bytes > self._limit_bytes or not tf.executing_eagerly():  # in a graph nothing has a value to keep
            self._keep, self._stop = False, 0
            for record in self._windows.values():
                record.clear()

    def _forget(self, start: int) -> None:
        self._bytes -= sum(_bytes(outputs) for _, outputs in self._record[start:])
        del self._record[start:]


def _bytes(outputs: Any) -> int:
    tensors = [t for t in keras.tree.flatten(outputs) if isinstance(t, tf.Tensor)]
    return sum(int(t.dtype.size) * int(tf.size(t)) for t in tensors if t.shape.is_fully_defined())
