"""Reading the small vectors of an HDF5 file, and nothing else of it: a few kilobytes out of gigabytes.

A budget bounds what one pass may read, whatever a file declares.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzers.subjects.hdf5_tree import Branch, Data

LONGEST = 1 << 17
"""Values of one vector: no layer has as many channels."""

MAX_READ_VALUES = 1 << 22
"""Values of one pass: 16 MiB as float32. EfficientNetV2-L has 0.6 million in its vectors."""

MAX_READS = 20_000
"""Vectors of one pass; EfficientNetV2-L has 3100."""

MAX_CHUNK_BYTES = 1 << 20
"""1 MiB: HDF5 takes memory for a whole chunk, however short the vector in it. Keras writes weights without chunks."""

Vector = NDArray[Any]


class Vectors:
    """Reads vectors as float64 until the budget is used up; then, and for all that is no small vector, gives None."""

    def __init__(self) -> None:
        self._values_left, self._reads_left = MAX_READ_VALUES, MAX_READS

    def read(self, data: Data) -> Vector | None:
        """The values of a float vector, (n,)."""
        if not is_vector(data) or not self._reads_left or data.shape[0] > self._values_left:
            return None
        if data.chunk_values * data.dtype.itemsize > MAX_CHUNK_BYTES:
            return None
        self._reads_left -= 1
        self._values_left -= data.shape[0]
        values = data.values()
        return _widened(values) if values.dtype.kind == "V" else values.astype(np.float64)


def is_vector(data: Data) -> bool:
    """Whether this has one axis with not too many numbers, of float type."""
    if len(data.shape) != 1 or not 0 < data.shape[0] <= LONGEST:
        return False
    return bool(data.dtype.kind == "f" or (data.dtype.kind == "V" and data.dtype.itemsize == 2))


def size_of(data: Data) -> int:
    """How many values a dataset declares."""
    return math.prod(data.shape)


def scalar_count(data: Branch | Data | None) -> int | None:
    """The value of an integer scalar, None for anything else."""
    if not isinstance(data, Data) or data.shape != () or data.dtype.kind not in "iu":
        return None
    return int(data.values()[()])


def step_count(root: Branch, places: tuple[str, ...]) -> int | None:
    """The first integer scalar among `places`."""
    counts = (scalar_count(root.get(place)) for place in places)
    return next((count for count in counts if count is not None), None)


def _widened(values: Vector) -> Vector:
    """HDF5 knows no bfloat16, so Keras stores its two bytes: the upper half of a float32."""
    return (values.view("uint16").astype("uint32") << 16).view("float32").astype(np.float64)
