"""What backends hold as tensors and variables, for reckoning in NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def float64(tensor: Any) -> NDArray[np.float64]:
    """The numbers of a tensor, on whichever device it lies, in double precision."""
    return np.asarray(keras.ops.convert_to_numpy(tensor), dtype=np.float64)


def read(variable: Any) -> NDArray[Any]:
    """A copy of what a variable holds."""
    held = _held(variable)
    return np.array(variable) if held is None else np.asarray(held.numpy())


def write(variable: Any, value: NDArray[Any]) -> None:
    """Put a value of its own shape and type into a variable.

    Keras 3 converts, checks, casts and reads back: three times the work, on every call of every layer.
    """
    held = _held(variable)
    if held is None or held.dtype.as_numpy_dtype != value.dtype:
        variable.assign(value)
    else:
        held.assign(value, read_value=False)


def _held(variable: Any) -> Any | None:
    """The variable of TensorFlow behind one of Keras 3; within a scope of mixed precision that shows a cast copy."""
    held = getattr(variable, "value", None)
    return held if isinstance(held, tf.Variable) else None
