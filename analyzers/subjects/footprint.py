"""What memory a model is going to take, told before any of it is taken.

A configuration of a few bytes can ask for terabytes. The process is stopped where it takes too much; but TensorFlow
waits ten seconds before it gives up, and nothing says by then which layer it was. So each weight is counted before it
is made, and each layer's output, as far as its shape is known, before the model is run.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
import tf_keras

from analyzers.errors import OutOfMemory
from analyzers.subjects.families import is_model
from analyzers.wording import size

DEFAULT_WIDTH_BYTES = 4
"""float32, where a layer does not say."""

SHOWN = 80
"""Characters of a layer's name in a message."""


@contextmanager
def weighed(limit_bytes: int | None) -> Iterator[None]:
    """Build models inside: all weights made there may take `limit_bytes` together, or what the machine has.

    Raises:
        OutOfMemory: before the weight is made that would be too much; the message names its layer.
    """
    scales = _Scales(limit_bytes or _of_machine())
    plain = {family.layers.Layer: family.layers.Layer.add_weight for family in (keras, tf_keras)}
    for layer, add_weight in plain.items():
        layer.add_weight = scales.before(add_weight)
    try:
        yield
    except Exception as error:
        if scales.refusal is not None:  # Keras may have wrapped it into an error of its own
            raise scales.refusal from error
        raise
    finally:
        for layer, add_weight in plain.items():
            layer.add_weight = add_weight


def check_outputs(model: Any, batch_size: int, limit_bytes: int | None) -> None:
    """Hold the output of each layer of a Keras model for one batch against a limit; what has no shape is passed over.

    Raises:
        OutOfMemory: a single output is larger than that; the message names its layer and says how large.
    """
    limit = limit_bytes or _of_machine()
    for layer in _parts(model):
        needed = batch_size * sum(_bytes_a_sample(tensor) for tensor in _outputs(layer))
        if needed > limit:
            raise OutOfMemory(
                f"The output of layer `{layer.name[:SHOWN]}` alone takes {size(needed)} for a batch of {batch_size}, "
                f"and a diagnosis may use {size(limit)} in all. Send smaller inputs or a smaller batch_size; if the "
                "model was never run like this, its configuration is damaged."
            )


def outputs_bytes(model: Any) -> int:
    """What all layers of a Keras model give for one sample together; 0 where no shape is known."""
    return sum(_bytes_a_sample(tensor) for layer in _parts(model) for tensor in _outputs(layer))


class _Scales:
    """Adds up the bytes of weights before they are made."""

    def __init__(self, limit: int) -> None:
        self._limit, self._total = limit, 0
        self.refusal: OutOfMemory | None = None

    def before(self, add_weight: Callable[..., Any]) -> Callable[..., Any]:
        """`add_weight` of a layer class, with the scales before it."""

        def weigh(layer: Any, *args: Any, **kwargs: Any) -> Any:
            self._put(layer, _shape(args, kwargs), kwargs.get("dtype"))
            return add_weight(layer, *args, **kwargs)

        return weigh

    def _put(self, layer: Any, shape: tuple[int, ...], dtype: Any) -> None:
        needed = math.prod(shape) * _width(dtype or getattr(layer, "variable_dtype", None))
        self._total += needed
        if self._total > self._limit:
            alone = f"takes {size(needed)} for a weight of shape {shape}"
            self.refusal = OutOfMemory(
                f"Layer `{layer.name[:SHOWN]}` {alone}, {size(self._total)} with the weights before it, and a "
                f"diagnosis may use {size(self._limit)} in all. Send a smaller version of the model; if this is not "
                "what you built, its configuration is damaged: save the model again."
            )
            raise self.refusal


def _shape(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, ...]:
    """The shape among the arguments of `add_weight`, which may stand behind the name; () where it is not known."""
    given = kwargs.get("shape", next((a for a in args if a is not None and not isinstance(a, str)), ()))
    dimensions = [given] if isinstance(given, int) else list(given or ())
    return tuple(d for d in dimensions if isinstance(d, int))


def _width(dtype: Any) -> int:
    try:
        return int(tf.as_dtype(dtype).size) or DEFAULT_WIDTH_BYTES
    except TypeError:
        return DEFAULT_WIDTH_BYTES


def _parts(model: Any) -> Iterator[Any]:
    """Everything that computes in a model, the insides of models in it too."""
    for part in getattr(model, "operations", None) or getattr(model, "layers", []) if is_model(model) else []:
        yield part
        yield from _parts(part)


def _outputs(layer: Any) -> list[Any]:
    """The symbolic outputs of a layer's first call."""
    try:
        return list(tf.nest.flatten(layer.output))
    except (AttributeError, RuntimeError, ValueError):  # never called, or called several times
        return []


def _bytes_a_sample(tensor: Any) -> int:
    shape = getattr(tensor, "shape", None)
    dimensions = list(shape) if shape is not None and getattr(shape, "rank", 0) is not None else []
    return math.prod(d for d in dimensions[1:] if isinstance(d, int)) * _width(getattr(tensor, "dtype", None))


def _of_machine() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
