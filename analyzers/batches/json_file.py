"""JSON batches: `{"x": ..., "y": ...}`, or `{"instances": ...}` and `{"inputs": ...}` as TensorFlow Serving does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from analyzers.batches.limits import MAX_JSON_BYTES, check_total
from analyzers.batches.names import is_wanted, listing, raw_from_named
from analyzers.batches.spec import Array, RawBatch
from analyzers.errors import BatchUnreadable

MAX_DEPTH = 40
"""Nesting of lists: NumPy arrays have at most 64 axes, models' inputs at most six."""


def read_json(path: Path, label: str | None = None) -> RawBatch:
    """The arrays of a JSON file, `label` being that of the labels. `NaN` and `Infinity` are read as such: the check of
    values names their place.

    Raises:
        BatchUnreadable: no JSON object, too large, too deep, a name given twice, ragged lists, null.
    """
    if path.stat().st_size > MAX_JSON_BYTES:
        raise BatchUnreadable(f"The JSON is larger than {MAX_JSON_BYTES >> 20} MiB. Send the same arrays as .npz.")
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    _check_depth(content)
    named = _named(_object(content))
    arrays = {name: _array(name, value) for name, value in named.items() if is_wanted(name, label)}
    check_total(sum(array.nbytes for array in arrays.values()))
    return raw_from_named(arrays, named, label)


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise BatchUnreadable("The JSON is not in UTF-8. Save it in that encoding.") from error
    except json.JSONDecodeError as error:
        raise BatchUnreadable(f"No valid JSON: {error.msg} in line {error.lineno}, column {error.colno}.") from error
    except ValueError as error:
        raise BatchUnreadable("The JSON holds a number with thousands of digits.") from error
    if not isinstance(value, dict):
        raise BatchUnreadable('The JSON is no object. Send {"x": [...], "y": [...]} or {"instances": [...]}.')
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for i, (name, _) in enumerate(pairs) if name in dict(pairs[:i]))
        raise BatchUnreadable(f"The JSON has the name {listing([twice])} twice: which one counts is not defined.")
    return found


def _named(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the spellings of TensorFlow Serving turned into ours."""
    if "instances" in document and "x" not in document:
        document = {**_rest(document, "instances"), **_from_rows(document["instances"])}
    elif "inputs" in document and "x" not in document:
        document = {**_rest(document, "inputs"), "x": document["inputs"]}
    named: dict[str, Any] = {}
    for name, value in document.items():
        if name in ("x", "y") and isinstance(value, dict):
            named.update({f"{name}_{key}": item for key, item in value.items()})
        else:
            named[name] = value
    return named


def _from_rows(rows: Any) -> dict[str, Any]:
    """`instances`: one value a sample, or one object a sample with a value for every input."""
    if not isinstance(rows, list) or not rows or not any(isinstance(row, dict) for row in rows):
        return {"x": rows}
    if not all(isinstance(row, dict) and row.keys() == rows[0].keys() for row in rows):
        raise BatchUnreadable("The `instances` do not all have the same inputs. Give every sample the same names.")
    return {f"x_{name}": [row[name] for row in rows] for name in rows[0]}


def _rest(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


def _check_depth(content: bytes) -> None:
    """Refuse deep nesting before the parser meets it. Brackets inside of text only make this stricter."""
    depth = 0
    for byte in content.translate(None, delete=NOT_BRACKETS):
        depth += 1 if byte in OPENING else -1
        if depth > MAX_DEPTH:
            raise BatchUnreadable(f"The JSON is nested more than {MAX_DEPTH} levels deep. No input of a model is.")


OPENING = b"[{"
NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _array(name: str, value: Any) -> Array:
    if isinstance(value, dict):
        raise BatchUnreadable(f"`{name}` in the JSON is an object, where a list of numbers is wanted.")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise BatchUnreadable(f"`{name}` is ragged: {_ragged(value)}. Pad all samples to one shape.") from error
    if array.dtype.kind == "O":
        raise BatchUnreadable(f"`{name}` holds null, objects or numbers too large for any type. Send plain numbers.")
    return array


def _ragged(value: Any) -> str:
    """Where lists of different lengths, or lists beside numbers, stand side by side."""
    place: list[int] = []
    while isinstance(value, list):
        lengths = [len(item) if isinstance(item, list) else None for item in value]
        odd = next((index for index, length in enumerate(lengths) if length != lengths[0]), None)
        if odd is not None:
            first, other = (f"{n} values" if n is not None else "a single value" for n in (lengths[0], lengths[odd]))
            return f"at {[*place, 0]} it has {first}, at {[*place, odd]} {other}"
        depth = next((index for index, item in enumerate(value) if not _regular(item)), None)
        if depth is None:
            break
        place, value = [*place, depth], value[depth]
    return "its samples have different shapes"


def _regular(value: Any) -> bool:
    try:
        np.asarray(value)
    except ValueError:
        return False
    return True
