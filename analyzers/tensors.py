"""What backends hold as tensors, for reckoning in NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


def float64(tensor: Any) -> NDArray[np.float64]:
    """The numbers of a tensor, on whichever device it lies, in double precision."""
    return np.asarray(keras.ops.convert_to_numpy(tensor), dtype=np.float64)
