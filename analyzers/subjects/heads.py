"""The last layers of a model: which activation makes each output."""

from __future__ import annotations

from typing import Any

from analyzers.subjects.families import is_a, is_model

KNOWN = ("softmax", "sigmoid", "linear")


def last_activation(model: Any, index: int) -> str | None:
    """The name of the activation that makes an output, looked up through nested models; None where it is not known."""
    tensors = getattr(model, "outputs", None)
    operation: Any = None
    while tensors and index < len(tensors):
        history = getattr(tensors[index], "_keras_history", None)
        operation = getattr(history, "operation", None) or getattr(history, "layer", None)
        if not is_model(operation):
            break
        index, tensors = int(getattr(history, "tensor_index", 0)), operation.outputs
    if is_a(operation, "Softmax"):
        return "softmax"
    if is_a(operation, "Dense", "Activation") or hasattr(operation, "kernel_size"):
        name = getattr(getattr(operation, "activation", None), "__name__", None)
        return str(name) if name in KNOWN else None
    return None
