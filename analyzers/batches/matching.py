"""Which array of a batch belongs to which input or output of the model: by name, by index, or as the only one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from analyzers.batches.lazy import Array
from analyzers.batches.names import listing
from analyzers.batches.spec import RawBatch, TensorSpec
from analyzers.batches.values import is_text
from analyzers.errors import BatchMismatch


def match(letter: str, arrays: Mapping[str, Array], specs: Sequence[TensorSpec]) -> list[Array]:
    """Arrays in the order of `specs`; `letter` (x or y) is for the messages. Without specs, by their indices.

    Raises:
        BatchMismatch: arrays are missing or unknown; the message lists which.
    """
    if not specs:
        return [arrays[key] for key in sorted(arrays, key=_index_or_end)]
    if len(specs) == 1 and len(arrays) == 1:
        return list(arrays.values())
    found = [_key_for(index, spec, arrays) for index, spec in enumerate(specs)]
    missing = [spec.name for key, spec in zip(found, specs, strict=True) if key is None]
    unknown = [key for key in arrays if key not in found]
    if missing or unknown:
        raise BatchMismatch(_complaint(letter, arrays, specs, missing, unknown))
    return [arrays[key] for key in found if key is not None]


def spread_columns(raw: RawBatch, inputs: Sequence[TensorSpec]) -> RawBatch:
    """Give each input its own column, where the batch is a table and the model has several inputs, or text.

    Raises:
        BatchMismatch: an input has no column of its name, a column no input, or one array of numbers has text.
    """
    if not raw.columns or not inputs or (len(inputs) == 1 and "" in raw.x and len(raw.columns) > 1):
        return raw
    alone = len(inputs) == len(raw.columns) == 1
    names = list(raw.columns) if alone else [_column_name(spec, raw.columns) for spec in inputs]
    if None in names or len(names) < len(raw.columns):
        raise BatchMismatch(_table_complaint(raw, inputs))
    columns = {s.name: _column(raw, n, s) for n, s in zip(names, inputs, strict=True) if n is not None}
    return replace(raw, x=columns)


def _column_name(spec: TensorSpec, columns: Sequence[str]) -> str | None:
    """The column of an input: its name, as it is or as an array of a batch is named."""
    names = [name for name in (spec.name, spec.alias) if name is not None]
    return next((n for n in [*names, *(f"x_{name}" for name in names)] if n in columns), None)


def _column(raw: RawBatch, name: str, spec: TensorSpec) -> Array:
    values = raw.table[name] if name in raw.table else raw.x[""][:, raw.columns.index(name)]
    if spec.dtype == "string" and not is_text(values) and raw.as_text is not None:
        values = raw.as_text(name)  # what looks like numbers may be names: "007"
    return values[:, np.newaxis] if len(spec.shape) != 1 else values


def _table_complaint(raw: RawBatch, inputs: Sequence[TensorSpec]) -> str:
    text = listing(name for name, values in raw.table.items() if is_text(values))
    if len(inputs) == 1 and inputs[0].dtype != "string":
        return (
            f"The column {text} holds text, not numbers, and input `{inputs[0].name}` wants numbers. Encode it as it "
            "was encoded for training, or leave it out; if it holds the labels, send their class numbers."
        )
    found = [_column_name(spec, raw.columns) for spec in inputs]
    lacks = [spec.name for spec, name in zip(inputs, found, strict=True) if name is None]
    strange = [name for name in raw.columns if name not in found]
    return (
        f"Each input of the model takes a column of its name from a table: {listing(s.name for s in inputs)}. "
        + (f"Missing: {listing(lacks)}. " if lacks else "")
        + (f"Unknown: {listing(strange)}; rename or leave out such columns. " if strange else "")
        + "Inputs of more than one value a sample are sent as arrays, in .npz."
    )


def _key_for(index: int, spec: TensorSpec, arrays: Mapping[str, Array]) -> str | None:
    return next((key for key in (spec.name, spec.alias, str(index)) if key is not None and key in arrays), None)


def _index_or_end(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdecimal() else (1 << 30, "")


def _complaint(
    letter: str, arrays: Mapping[str, Array], specs: Sequence[TensorSpec], missing: list[str], unknown: list[str]
) -> str:
    kind = "input" if letter == "x" else "output"
    wants = (
        f"The model has {len(specs)} {kind}{'s' if len(specs) > 1 else ''}: {listing(spec.name for spec in specs)}. "
    )
    has = f"The batch has {listing(_array_name(letter, key) for key in arrays)}. "
    lacks = f"Missing: {listing(f'{letter}_{name}' for name in missing)}. " if missing else ""
    strange = f"Unknown: {listing(_array_name(letter, key) for key in unknown)}. " if unknown else ""
    advice = f"Name the arrays `{letter}_<name of the {kind}>` or `{letter}_0`, `{letter}_1`, …"
    return wants + has + lacks + strange + (advice if len(specs) > 1 else f"Send one array `{letter}`.")


def _array_name(letter: str, key: str) -> str:
    return f"{letter}_{key}" if key else letter
