"""Where a constant output comes from: the last layer that is given what varies and returns what does not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from analyzers.observation import Observer
from analyzers.subjects.families import is_a, is_layer, is_model
from analyzers.switchboard import Setting

SAME = 1e-6  # Relative to the size: what float32 leaves of equal values.


def dead_layer(observer: Observer) -> str | None:
    """Path of the layer from which on nothing varies from sample to sample in the inference phase; None if unknown."""
    sites = {id(s.layer) for s in observer.subject.sites}
    watched = {
        path: layer
        for path, layer in observer.subject.layers
        if is_layer(layer) and not is_model(layer) and not is_a(layer, "InputLayer") and id(layer) not in sites
    }
    with _noting(watched) as found:
        observer.run(Setting(), rows=np.arange(observer.batch_size))
    return found[-1] if found else None


@contextlib.contextmanager
def _noting(layers: dict[str, Any]) -> Iterator[list[str]]:
    """The layers, in the order of their calls, that take varying and return constant values, for a `with` block."""
    found: list[str] = []

    def watching(path: str, original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            outputs = original(*args, **kwargs)
            given = keras.tree.flatten(args or list(kwargs.values()))
            if any(_varies(a) for a in given) and not any(_varies(o) for o in keras.tree.flatten(outputs)):
                found.append(path)
            return outputs

        return call

    for path, layer in layers.items():
        object.__setattr__(layer, "call", watching(path, layer.call))
    try:
        yield found
    finally:
        for layer in layers.values():
            object.__delattr__(layer, "call")


def _varies(value: Any) -> bool:
    """Whether a tensor with samples on its first axis is not the same for all of them."""
    if not keras.ops.is_tensor(value) or len(value.shape) < 1:
        return False
    x = np.asarray(keras.ops.convert_to_numpy(value))
    if x.dtype.kind not in "fiub" or len(x) < 2:
        return False
    size = float(np.max(np.abs(x), initial=0.0))
    return bool(np.max(np.abs(x - x[:1]), initial=0.0) > SAME * size)
