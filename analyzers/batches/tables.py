"""CSV and Parquet batches: columns are features in the order of the file, one column may be the labels.

A column of text makes each column an input of its own. Tables of numbers too large to hold are read in slices.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analyzers.batches.columns import (
    column_names,
    column_values,
    feature_values,
    is_row_number,
    text_size,
    text_values,
)
from analyzers.batches.lazy import Array
from analyzers.batches.limits import MAX_TEXT_BYTES, check_size, check_text, check_total, mib
from analyzers.batches.names import listing
from analyzers.batches.scratch import Scratch
from analyzers.batches.slices import Slices, csv_slices, filled, parquet_slices
from analyzers.batches.spec import RawBatch
from analyzers.errors import BatchUnreadable

if TYPE_CHECKING:
    import pyarrow

DEFAULT_LABEL = "y"
WEIGHT = "sample_weight"

MAX_COLUMNS = 100_000
"""Columns of one table: a flattened image of 180 by 180 in colour. More are slow in every reader of tables."""

CSV_BLOCK_BYTES = 1 << 24
"""16 MiB, the longest row that the CSV reader accepts: 100 000 columns of 160 characters."""

UNREADABLE = "The CSV cannot be read: rows of different lengths, another separator than the comma, or not in UTF-8."


def read_csv(path: Path, label_column: str | None, scratch: Scratch) -> RawBatch:
    """The table of a CSV file in UTF-8, with a header and commas. Raises BatchUnreadable, BatchMismatch."""
    import pyarrow.csv

    size = path.stat().st_size
    check_total(size)
    try:
        if not scratch.holds(size):
            slices = csv_slices(path, CSV_BLOCK_BYTES)
            _check_csv(slices.names)
            if not _has_text(slices, size, label_column):
                return _sliced(slices, label_column, scratch)
        # in one block, since the types of all columns are told from the first
        blocks = pyarrow.csv.ReadOptions(block_size=max(CSV_BLOCK_BYTES, size))
        table = pyarrow.csv.read_csv(path, read_options=blocks)
    except pyarrow.ArrowInvalid as error:
        raise BatchUnreadable(_csv_trouble(str(error))) from error
    _check_csv(table.column_names)
    return _raw(table, label_column, path)


def _csv_trouble(said: str) -> str:
    found = re.search(
        r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to \w+: invalid value '(.{0,80})", said
    )
    if found is None:
        return UNREADABLE
    value = found[2].rstrip("'")
    return (
        f"Column {int(found[1]) + 1} of the CSV begins with numbers and then has `{value}`. Write all of its cells in "
        "one kind, or leave it out."
    )


def _check_csv(names: list[str]) -> None:
    if len(names) == 1 and any(separator in names[0] for separator in ";\t|"):
        raise BatchUnreadable("The CSV has another separator than the comma. Write it with commas.")


def read_parquet(path: Path, label_column: str | None, scratch: Scratch) -> RawBatch:
    """The table of a Parquet file. Raises BatchUnreadable, BatchMismatch for empty cells."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        rows, columns = file.metadata.num_rows, file.metadata.num_columns
        _check_table(rows, columns)
        # repeated values are stored once however many they are, so size is judged by rows and columns alone
        unpacked = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        check_total(unpacked)
        slices = parquet_slices(file)
        size = max(unpacked, rows * columns * 8)
        if not scratch.holds(size) and not _has_text(slices, size, label_column):
            return _sliced(slices, label_column, scratch)
    # as dictionaries, so that a text which stands in a million rows is unpacked after its size is known
    with pyarrow.parquet.ParquetFile(path, read_dictionary=sorted(slices.text)) as file:
        return _raw(file.read(use_pandas_metadata=False), label_column)


def _has_text(slices: Slices, size: int, label_column: str | None) -> bool:
    """Whether a table of `size` bytes has features of text, which are held. Raises BatchUnreadable beyond a limit."""
    texts = slices.text - {_label(slices.names, label_column), WEIGHT}
    if texts and size > MAX_TEXT_BYTES:
        raise BatchUnreadable(
            f"The table has text ({listing(sorted(texts))}) and takes {mib(size)}. A table with text may take "
            f"{mib(MAX_TEXT_BYTES)}: send fewer samples."
        )
    return bool(texts)


def _raw(table: pyarrow.Table, label_column: str | None, csv: Path | None = None) -> RawBatch:
    """A table in memory; `csv` is the file where it can be read again as text."""
    _check_table(table.num_rows, table.num_columns)
    names = column_names(table.column_names)
    label = _label(names, label_column)
    values = {name: table.column(index) for index, name in enumerate(names)}
    features = [name for name in names if name not in (label, WEIGHT) and not is_row_number(name, values[name])]
    if not features:
        raise BatchUnreadable(f"The table has no feature columns; it has {listing(names)}.")
    check_text(*text_size([values[name] for name in features]))
    arrays = {name: feature_values(name, values[name]) for name in features}
    texts = any(a.dtype.kind == "O" for a in arrays.values())
    return RawBatch(
        x=dict(arrays) if texts else {"": np.stack(list(arrays.values()), axis=1)},
        y={} if label is None else {"": column_values(label, values[label])},
        sample_weight=column_values(WEIGHT, values[WEIGHT]) if WEIGHT in names and label != WEIGHT else None,
        columns=tuple(features),
        table=arrays,
        as_text=None if csv is None else partial(_as_text, csv),
    )


def _as_text(path: Path, name: str) -> Array:
    """One column of a CSV file as the text that stands in it."""
    import pyarrow.csv

    options = pyarrow.csv.ConvertOptions(include_columns=[name], column_types={name: pyarrow.string()})
    blocks = pyarrow.csv.ReadOptions(block_size=CSV_BLOCK_BYTES)
    return text_values(pyarrow.csv.read_csv(path, read_options=blocks, convert_options=options).column(0))


def _sliced(slices: Slices, label_column: str | None, scratch: Scratch) -> RawBatch:
    """A table that is too large to hold: its features in a file, labels and weights in memory."""
    names = column_names(slices.names)
    _check_table(slices.rows, len(names))
    label = _label(names, label_column)
    features = [name for name in names if name not in (label, WEIGHT) and not slices.is_row_number(name)]
    if not features:
        raise BatchUnreadable(f"The table has no feature columns; it has {listing(names)}.")
    beside = [name for name in (label, WEIGHT) if name is not None and name in names]
    table, kept = filled(slices, features, beside, scratch)
    return RawBatch(
        x={"": table},
        y={} if label is None else {"": kept[label]},
        sample_weight=kept[WEIGHT] if WEIGHT in beside and label != WEIGHT else None,
        columns=tuple(features),
    )


def _label(names: list[str], asked: str | None) -> str | None:
    if asked is None:
        return DEFAULT_LABEL if DEFAULT_LABEL in names else None
    if asked not in names:
        raise BatchUnreadable(f"The table has no column {listing([asked])} for the labels; it has {listing(names)}.")
    return asked


def _check_table(rows: int, columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise BatchUnreadable(f"The table has {columns} columns, more than the {MAX_COLUMNS} that are read. Send .npz.")
    check_size("the table", rows * columns * np.dtype("float64").itemsize)
