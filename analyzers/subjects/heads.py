"""The last layers of a model: which activation makes each output."""

from __future__ import annotations

from typing import Any

import keras

KNOWN = ("softmax", "sigmoid", "linear")


def last_activation(model: Any, index: int) -> str | None:
    """The name of the activation that makes an output, looked up through nested models; None where it is not known."""
    tensors = getattr(model, "outputs", None)
    operation = None
    while tensors and index < len(tensors):
        history = getattr(tensors[index], "_keras_history", None)
        operation = getattr(history, "operation", None)
        if not isinstance(operation, keras.Model):
            break
        index, tensors = int(getattr(history, "tensor_index", 0)), operation.outputs
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    if isinstance(operation, keras.layers.Dense | keras.layers.Activation) or hasattr(operation, "kernel_size"):
        name = getattr(getattr(operation, "activation", None), "__name__", None)
        return str(name) if name in KNOWN else None
    return None
