"""Tables of numbers that are too large to hold, read a slice of rows at a time into a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analyzers.batches.columns import INDEX_NAMES, column_values, is_text_type
from analyzers.batches.lazy import PIECE_BYTES, Array
from analyzers.batches.names import listing
from analyzers.batches.scratch import Scratch
from analyzers.errors import BatchMismatch

if TYPE_CHECKING:
    import pyarrow


EXACT = 2**53
"""Whole numbers from here on are no longer told apart in float64."""


@dataclass(frozen=True)
class Slices:
    """A table as slices: its columns, the number of its rows, and a way to walk it, as often as one likes.

    `walk(names)` gives tables of those columns. `whole` names the columns that hold whole numbers, as far as was seen,
    `text` those that hold text.
    """

    names: list[str]
    rows: int
    whole: frozenset[str]
    text: frozenset[str]
    walk: Callable[[Sequence[str]], Iterator[pyarrow.Table]]

    def is_row_number(self, name: str) -> bool:
        """Whether a column is nothing but pandas' count of rows; see `columns.is_row_number`."""
        if name not in INDEX_NAMES or name not in self.whole:
            return False
        at = 0
        for part in self.walk([name]):
            values = part.column(0).to_numpy()
            if not np.array_equal(values, np.arange(at, at + len(values))):
                return False
            at += len(values)
        return True


def filled(slices: Slices, features: list[str], beside: list[str], scratch: Scratch) -> tuple[Array, dict[str, Array]]:
    """The features (rows, features) as float64 in a file, and the columns `beside` them in memory.

    Raises:
        BatchUnreadable: a column holds text, dates or lists.
        BatchMismatch: cells are empty, or hold whole numbers that float64 cannot tell apart.
    """
    made = scratch.array((slices.rows, len(features)), np.dtype("float64"))
    kept: dict[str, list[Array]] = {name: [] for name in beside}
    at = 0
    for part in slices.walk([*features, *beside]):
        for column, name in enumerate(features):
            values = column_values(name, part.column(name))
            _check_exact(name, values if name in slices.whole else values[:0])
            made[at : at + part.num_rows, column] = values
        for name in beside:
            kept[name].append(column_values(name, part.column(name)))
        at += part.num_rows
    return made, {name: _joined(parts, name in slices.whole) for name, parts in kept.items()}


def _check_exact(name: str, values: Array) -> None:
    if values.size and max(abs(int(values.min())), abs(int(values.max()))) >= EXACT:
        raise BatchMismatch(
            f"The column {listing([name])} holds whole numbers beyond {EXACT}, which a table of this size is not read "
            "to the last digit of. Send the columns as arrays, in .npz."
        )


def _joined(parts: list[Array], whole: bool) -> Array:
    values = np.concatenate(parts)
    return values.astype(np.int64) if whole and np.array_equal(values, np.round(values)) else values


def parquet_slices(file: Any) -> Slices:
    """An open Parquet file; no more of it is unpacked at a time than a slice."""
    import pyarrow
    import pyarrow.types

    schema = file.schema_arrow
    step = max(PIECE_BYTES // (8 * max(len(schema.names), 1)), 1)

    def walk(names: Sequence[str]) -> Iterator[pyarrow.Table]:
        for batch in file.iter_batches(batch_size=step, columns=list(names), use_pandas_metadata=False):
            yield pyarrow.Table.from_batches([batch])

    whole = frozenset(field.name for field in schema if pyarrow.types.is_integer(field.type))
    return Slices(list(schema.names), file.metadata.num_rows, whole, _texts(schema), walk)


def csv_slices(path: Path, block_bytes: int) -> Slices:
    """A CSV file. Numbers are read as float64, since a fraction may stand behind a million whole numbers."""
    import pyarrow
    import pyarrow.csv
    import pyarrow.types

    blocks = pyarrow.csv.ReadOptions(block_size=block_bytes)
    with pyarrow.csv.open_csv(path, read_options=blocks) as reader:
        schema = reader.schema
    numeric = [f.name for f in schema if pyarrow.types.is_integer(f.type) or pyarrow.types.is_null(f.type)]
    types = dict.fromkeys(numeric, pyarrow.float64())

    def walk(names: Sequence[str]) -> Iterator[pyarrow.Table]:
        options = pyarrow.csv.ConvertOptions(include_columns=list(names), column_types=types)
        with pyarrow.csv.open_csv(path, read_options=blocks, convert_options=options) as reader:
            for batch in reader:
                yield pyarrow.Table.from_batches([batch])

    rows = sum(part.num_rows for part in walk(schema.names[:1]))
    return Slices(list(schema.names), rows, frozenset(numeric), _texts(schema), walk)


def _texts(schema: pyarrow.Schema) -> frozenset[str]:
    return frozenset(field.name for field in schema if is_text_type(field.type))
