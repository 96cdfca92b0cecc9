"""What passes through this package: arrays as they were sent, what a model wants, and arrays ordered for that model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from analyzers.batches.lazy import Array, Samples


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model: `shape` with the batch axis first, None where a size is free.

    `alias` is another name that it goes by: its key in the dictionary that the model takes.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    alias: str | None = None


@dataclass(frozen=True)
class Conversion:
    """An input that was brought to the model's type, and the most that a value moved by it, in standard deviations of
    its column.
    """

    name: str
    given: str
    wanted: str
    moved: float


@dataclass(frozen=True)
class RawBatch:
    """A batch as it was sent, not yet held against a model.

    Keys are "" for the sole `x` or `y`, else what stood after `x_` or `y_`: a name or an index. Text is an array of
    NumPy's strings or of objects that are all `str` or `bytes`.

    Of a table, `columns` names the columns in their order. Where all of them are numbers, `x[""]` has them side by
    side; else `x` has each under its name, (rows,). `as_text` reads a column again as the text that stands in the file,
    where the format has text only.
    """

    x: dict[str, Array]
    y: dict[str, Array] = field(default_factory=dict)
    sample_weight: Array | None = None
    columns: tuple[str, ...] = ()
    table: Mapping[str, Array] = field(default_factory=dict)
    as_text: Callable[[str], Array] | None = None


@dataclass(frozen=True)
class Batch:
    """A batch that fits one model: arrays in the order of its inputs and outputs, samples on the first axis of each.

    Inputs have the dtype that the model wants; labels keep theirs. `y` is None where none were sent. Inputs may be too
    large to hold: take rows of them.
    """

    x: list[Samples]
    y: list[Array] | None
    sample_weight: Array | None
    input_names: list[str]
    output_names: list[str]
    conversions: list[Conversion] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """Number of samples, the same for every array."""
        return int(self.x[0].shape[0])


def shape_text(shape: tuple[int | None, ...]) -> str:
    """A shape as Python prints it: "(None, 224, 224, 3)"."""
    return str(tuple(shape))
