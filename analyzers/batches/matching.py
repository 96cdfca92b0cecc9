"""Which array of a batch belongs to which input or output of the model: by name, by index, or as the only one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analyzers.batches.names import listing
from analyzers.batches.spec import Array, RawBatch, TensorSpec
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
    """Give each input its own column where the batch is a table and the model has one input for every column."""
    names = [spec.name for spec in inputs]
    if len(inputs) < 2 or not raw.columns or set(names) != set(raw.columns):
        return raw
    table = raw.x[""]
    columns = {name: table[:, index] for index, name in enumerate(raw.columns)}
    shaped = {spec.name: columns[spec.name].reshape(_column_shape(spec, len(table))) for spec in inputs}
    return RawBatch(x=shaped, y=raw.y, sample_weight=raw.sample_weight)


def _column_shape(spec: TensorSpec, samples: int) -> tuple[int, ...]:
    return (samples,) if len(spec.shape) == 1 else (samples, 1)


def _key_for(index: int, spec: TensorSpec, arrays: Mapping[str, Array]) -> str | None:
    return next((key for key in (spec.name, str(index)) if key in arrays), None)


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
