"""What passes through this package: arrays as they were sent, what a model wants, and arrays ordered for that model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model: `shape` with the batch axis first, None where a size is free."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class RawBatch:
    """A batch as it was sent, not yet held against a model.

    Keys are "" for the sole `x` or `y`, else what stood after `x_` or `y_`: a name or an index. `columns` names the
    columns of a table, in the order of the last axis of `x[""]`; it is empty for everything that was no table.
    """

    x: dict[str, Array]
    y: dict[str, Array] = field(default_factory=dict)
    sample_weight: Array | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Batch:
    """A batch that fits one model: arrays in the order of its inputs and outputs, samples on the first axis of each.

    Inputs have the dtype that the model wants; labels keep theirs. `y` is None where none were sent.
    """

    x: list[Array]
    y: list[Array] | None
    sample_weight: Array | None
    input_names: list[str]
    output_names: list[str]

    @property
    def samples(self) -> int:
        """Number of samples, the same for every array."""
        return int(self.x[0].shape[0])


def shape_text(shape: tuple[int | None, ...]) -> str:
    """A shape as Python prints it: "(None, 224, 224, 3)"."""
    return str(tuple(shape))
