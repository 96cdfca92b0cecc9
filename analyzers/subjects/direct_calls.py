"""Layers of Keras 3 called straight away, without what Keras does around each call: half of the time of a small pass.

Around `call`, `Layer.__call__` converts and checks inputs, binds arguments, builds, carries masks, casts and sums up
activity losses. A functional model calls its layers one by one by `operation_fn`; while `DirectCalls` is entered, those
layers of one model for which all of that comes to nothing are called by their own `call`. Every other call, and every
call with inputs that are not plain tensors without a mask, takes the usual way. The arithmetic is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import keras
import tensorflow as tf
from keras.src.models import functional

from analyzers.subjects.families import is_legacy, is_own
from analyzers.subjects.keras_model import children, walk

PLAIN = "float32"

MERGING = "keras.src.layers.merging."
"""Layers that make a mask of their inputs' masks, and none where these have none."""


class DirectCalls:
    """A context manager; one thread. Without effect where this version of Keras calls layers in another way."""

    def __init__(self, model: Any) -> None:
        layers = [] if is_legacy(model) else [x for _, x in walk(model, model.name, set())]
        self._layers = {id(x): x for x in layers if _is_plain_layer(x)}
        self._before: Callable[..., Any] | None = None

    def __enter__(self) -> DirectCalls:
        self._before = getattr(functional, "operation_fn", None)
        if self._before is not None and keras.distribution.distribution() is None:
            functional.operation_fn = self._calling(self._before)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._before is not None:
            functional.operation_fn = self._before

    def _calling(self, usual: Callable[..., Any]) -> Callable[..., Any]:
        def operation_fn(operation: Any, **context: Any) -> Callable[..., Any]:
            ordinary: Callable[..., Any] = usual(operation, **context)
            training = context.get("training")
            if id(operation) not in self._layers or training is None:
                return ordinary
            told = {"training": training} if operation._call_has_training_arg else {}

            def call(*args: Any, **kwargs: Any) -> Any:
                given = {name: value for name, value in kwargs.items() if name != "training"}  # the model's goes first
                more = len(args) != 1 or any(n != "mask" or m is not None for n, m in given.items())
                if more or not _are_plain(args[0]) or _casting():
                    return ordinary(*args, **kwargs)
                try:
                    return operation.call(args[0], **given, **told)
                except ValueError:
                    return ordinary(*args, **kwargs)  # which says it in words: it looks at shapes before it calls

            return call

        return operation_fn


def _is_plain_layer(layer: Any) -> bool:
    """Whether nothing but `call` happens where this layer is called with plain tensors."""
    return bool(
        is_own(layer)
        and layer.built
        and not children(layer)
        and layer.compute_dtype == layer.variable_dtype == PLAIN
        and layer.activity_regularizer is None
        and getattr(layer, "quantization_mode", None) is None
        and not getattr(layer, "_remat_mode", None)
        and (type(layer).compute_mask is keras.layers.Layer.compute_mask or type(layer).__module__.startswith(MERGING))
        and set(layer._call_context_args) <= {"training"}
    )


def _are_plain(inputs: Any) -> bool:
    tensors = inputs if isinstance(inputs, list | tuple) else (inputs,)
    return all(
        isinstance(t, tf.Tensor) and t.dtype == tf.float32 and getattr(t, "_keras_mask", None) is None for t in tensors
    )


def _casting() -> bool:
    """Whether an outer layer has variables cast to another type."""
    return keras.src.backend.get_autocast_scope() is not None
