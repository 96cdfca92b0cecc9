"""Which layers of a model can be watched: batch normalization whose every update tells its batch's statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from phasegap.training.drift import Channels, Reading, Vector, flat
from phasegap.training.judging import Layer


class Watched:
    """The batch-normalizing layers of a model. `left_out` says why some are not among them."""

    def __init__(self, model: Any) -> None:
        calls = dict(_calls(model, 1))
        self.left_out: dict[str, str] = {}
        self.layers: list[Any] = []
        for layer in _batch_normalizing(model):
            reason = _reason(layer, model)
            if reason is None:
                self.layers.append(layer)
            else:
                self.left_out[str(layer.name)] = reason
        self._calls = [calls.get(id(layer), 1) for layer in self.layers]

    def read(self, steps: int) -> Reading:
        """The moving statistics as they stand; nothing is run."""
        return Reading(
            steps,
            flat(_array(layer.moving_mean) for layer in self.layers),
            flat(_array(layer.moving_variance) for layer in self.layers),
        )

    def channels(self) -> Channels:
        sizes = [int(layer.moving_mean.shape[0]) for layer in self.layers]
        ends = np.cumsum(sizes)
        kept = [layer.momentum**calls for layer, calls in zip(self.layers, self._calls, strict=True)]
        bounds = tuple((int(end) - size, int(end)) for size, end in zip(sizes, ends, strict=True))
        return Channels(_each(kept, sizes), _each([layer.epsilon for layer in self.layers], sizes), bounds)

    def described(self, reading: Reading) -> list[Layer]:
        """Name, momentum over a step, and whether the statistics stand at their start."""
        found = []
        for layer, calls, (start, end) in zip(self.layers, self._calls, self.channels().bounds, strict=True):
            mean, variance = reading.mean[start:end], reading.variance[start:end]
            fresh = bool(np.all(mean == 0.0) and np.all(variance == 1.0))
            found.append(Layer(str(layer.name), float(layer.momentum**calls), fresh))
        return found


def _array(variable: Any) -> Any:
    """Its value. TensorFlow's own way, where that is the backend: Keras' brings a warning of NumPy's each time."""
    if keras.config.backend() == "tensorflow":
        return variable.value.numpy()
    return keras.ops.convert_to_numpy(variable)


def _each(values: list[float], sizes: list[int]) -> Vector:
    return np.repeat(np.asarray(values, np.float64), sizes)


def _batch_normalizing(model: Any) -> Iterator[Any]:
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization) and layer.built:
            yield layer


def _reason(layer: Any, model: Any) -> str | None:
    """Why a layer cannot be watched."""
    if not layer.trainable:
        return "it is not trainable, so both phases use its moving statistics"
    if not 0.0 < layer.momentum < 1.0:
        return f"at momentum {layer.momentum:g} its moving statistics tell nothing about batches"
    if getattr(layer, "renorm", False):
        return "it renormalizes, so training does not use the batch's statistics alone"
    for other in model._flatten_layers(include_self=False):
        if isinstance(other, keras.layers.Wrapper | keras.layers.RNN) and layer in list(other._flatten_layers()):
            return f"`{other.name}` calls it an unknown number of times a step"
    return None


def _calls(model: Any, times: int) -> Iterator[tuple[int, int]]:
    """How often each layer is called in a step, where the model's graph tells."""
    graph = getattr(model, "_functional", None) or model
    counts: dict[int, tuple[Any, int]] = {}
    for nodes in getattr(graph, "_nodes_by_depth", {}).values():
        for node in nodes:
            layer, so_far = counts.get(id(node.operation), (node.operation, 0))
            counts[id(layer)] = (layer, so_far + times)
    for key, (layer, count) in counts.items():
        yield key, count
        yield from _calls(layer, count)
