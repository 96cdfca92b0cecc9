"""CSV and Parquet batches: columns are features in the order of the file, one column may be the labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analyzers.batches.columns import column_names, column_values, is_row_number
from analyzers.batches.limits import check_size, check_total
from analyzers.batches.names import listing
from analyzers.batches.spec import Array, RawBatch
from analyzers.errors import BatchUnreadable

if TYPE_CHECKING:
    import pyarrow

DEFAULT_LABEL = "y"
WEIGHT = "sample_weight"

MAX_COLUMNS = 100_000
"""Columns of one table: a flattened image of 180 by 180 in colour. More are slow in every reader of tables."""

CSV_BLOCK_BYTES = 1 << 24
"""16 MiB, the longest row that the CSV reader accepts: 100 000 columns of 160 characters."""


def read_csv(path: Path, label_column: str | None) -> RawBatch:
    """The table of a CSV file in UTF-8, with a header and commas. Raises BatchUnreadable, BatchMismatch."""
    import pyarrow.csv

    check_total(path.stat().st_size)
    try:
        table = pyarrow.csv.read_csv(path, read_options=pyarrow.csv.ReadOptions(block_size=CSV_BLOCK_BYTES))
    except pyarrow.ArrowInvalid as error:
        raise BatchUnreadable(
            "The CSV cannot be read: rows of different lengths, another separator than the comma, or not in UTF-8."
        ) from error
    if table.num_columns == 1 and any(separator in table.column_names[0] for separator in ";\t|"):
        raise BatchUnreadable("The CSV has another separator than the comma. Write it with commas.")
    return _raw(table, label_column)


def read_parquet(path: Path, label_column: str | None) -> RawBatch:
    """The table of a Parquet file. Raises BatchUnreadable, BatchMismatch for empty cells."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        rows, columns = file.metadata.num_rows, file.metadata.num_columns
        _check_table(rows, columns)
        # repeated values are stored once however many they are, so size is judged by rows and columns alone
        check_total(sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)))
        return _raw(file.read(use_pandas_metadata=False), label_column)


def _raw(table: pyarrow.Table, label_column: str | None) -> RawBatch:
    _check_table(table.num_rows, table.num_columns)
    names = column_names(table.column_names)
    label = _label(names, label_column)
    values = {name: table.column(index) for index, name in enumerate(names)}
    features = [name for name in names if name not in (label, WEIGHT) and not is_row_number(name, values[name])]
    if not features:
        raise BatchUnreadable(f"The table has no feature columns; it has {listing(names)}.")
    arrays: list[Array] = [column_values(name, values[name]) for name in features]
    return RawBatch(
        x={"": np.stack(arrays, axis=1)},
        y={} if label is None else {"": column_values(label, values[label])},
        sample_weight=column_values(WEIGHT, values[WEIGHT]) if WEIGHT in names and label != WEIGHT else None,
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
