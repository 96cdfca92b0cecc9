"""One column of a table: its name, and its values as numbers or text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyzers.batches.lazy import Array
from analyzers.batches.names import listing
from analyzers.errors import BatchMismatch, BatchUnreadable

if TYPE_CHECKING:
    import pyarrow

INDEX_NAMES = frozenset({"", "Unnamed: 0", "__index_level_0__"})
"""Names under which pandas writes its row numbers into a file."""


def column_names(names: Sequence[str]) -> list[str]:
    """The names of the columns. Raises BatchUnreadable where there is no header, or a name stands twice."""
    if names and all(_is_number(name) for name in names) and not _are_positions(names):
        raise BatchUnreadable("The table's first row holds numbers. Give it a header with a name for every column.")
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise BatchUnreadable(f"The table has two columns named {listing(doubled[:1])}. Name every column differently.")
    return list(names)


def is_row_number(name: str, column: pyarrow.ChunkedArray) -> bool:
    """Whether a column is nothing but pandas' count of rows, which no model was trained on."""
    import pyarrow.types

    if name not in INDEX_NAMES or not pyarrow.types.is_integer(column.type) or column.null_count:
        return False
    return bool(np.array_equal(column.to_numpy(), np.arange(len(column))))


def column_values(name: str, column: pyarrow.ChunkedArray) -> Array:
    """The numbers of a column (rows,).

    Raises:
        BatchUnreadable: the column holds text, dates or lists.
        BatchMismatch: cells are empty; the message says how many and in which row first.
    """
    values = feature_values(name, column)
    if values.dtype.kind == "O":
        raise _strange(name, "text")
    return values


def feature_values(name: str, column: pyarrow.ChunkedArray) -> Array:
    """The numbers of a column, or its text as `str` in an array of objects, (rows,). Raises as `column_values`."""
    import pyarrow.types

    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    empty = column.null_count
    if empty:
        first = int(np.argmax(column.is_null().to_numpy()))
        raise BatchMismatch(
            f"The column {listing([name])} has {empty} empty cells, the first in row {first}. Fill or drop them."
        )
    text = is_text_type(kind)
    if pyarrow.types.is_decimal(kind):
        column = column.cast("float64")
    elif not (text or _is_plain(kind)):
        raise _strange(name, str(kind)[:40])
    values: Array = column.to_numpy()
    return values


def is_text_type(kind: pyarrow.DataType) -> bool:
    """Whether a column of this type holds text, plain or by a dictionary."""
    import pyarrow.types

    values = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    return bool(pyarrow.types.is_string(values) or pyarrow.types.is_large_string(values))


def text_size(columns: Iterable[pyarrow.ChunkedArray]) -> tuple[int, int]:
    """The bytes of all text in some columns, and the number of strings, told before anything is unpacked."""
    import pyarrow.compute
    import pyarrow.types

    size = strings = 0
    for column in columns:
        if not is_text_type(column.type):
            continue
        strings += len(column)
        for part in column.chunks:
            by_entry = pyarrow.types.is_dictionary(part.type)
            lengths = pyarrow.compute.binary_length(part.dictionary if by_entry else part)
            size += pyarrow.compute.sum(lengths.take(part.indices) if by_entry else lengths).as_py() or 0
    return size, strings


def text_values(column: pyarrow.ChunkedArray) -> Array:
    """The text of a column of strings, (rows,), an array of `str` objects."""
    values: Array = column.to_numpy()
    return values


def _is_plain(kind: pyarrow.DataType) -> bool:
    import pyarrow.types

    return bool(pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_boolean(kind))


def _strange(name: str, held: str) -> BatchUnreadable:
    return BatchUnreadable(
        f"The column {listing([name])} holds {held}, not numbers. Encode it as it was encoded for "
        "training, or leave it out; if it holds the labels, send their class numbers."
    )


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _are_positions(names: Sequence[str]) -> bool:
    """Whether the names are 0, 1, 2, …, as tables made from bare arrays have them."""
    return list(names) == [str(index) for index in range(len(names))]
