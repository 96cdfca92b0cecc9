"""JSON batches: `{"x": ..., "y": ...}`, or `{"instances": ...}` and `{"inputs": ...}` as TensorFlow Serving does."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from analyzers.batches.lazy import Array
from analyzers.batches.limits import MAX_JSON_BYTES, check_text, check_total
from analyzers.batches.names import is_wanted, leaves, listing, raw_from_named
from analyzers.batches.scratch import Scratch
from analyzers.batches.spec import RawBatch
from analyzers.errors import BatchUnreadable

MAX_DEPTH = 40
"""Nesting of lists: NumPy arrays have at most 64 axes, models' inputs at most six."""


def read_json(path: Path, label: str | None, scratch: Scratch) -> RawBatch:
    """The arrays of a JSON file, `label` being that of the labels, all held in memory. `NaN` and `Infinity` are
    read as such: the check of values names their place.

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


def _unique(pairs: list[tuple[str, Any]]) -> Any:
    """An object with each name once; `{"b64": "..."}` is how TensorFlow Serving writes bytes."""
    found = dict(pairs)
    if len(pairs) == 1 and isinstance(found.get("b64"), str):
        try:
            return base64.b64decode(found["b64"], validate=True)
        except binascii.Error as error:
            raise BatchUnreadable('The JSON has a "b64" value that is not base64. Send the text itself.') from error
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
            named.update({f"{name}_{key}": item for key, item in leaves(name, value).items()})
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
        raise BatchUnreadable(f"`{name}` in the JSON is an object, where a list of numbers or text is wanted.")
    if isinstance(next(_leaves(value), None), str | bytes):
        return _text(name, value)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise BatchUnreadable(f"`{name}` is ragged: {_ragged(value)}. Pad all samples to one shape.") from error
    if array.dtype.kind in "US":
        raise _mixed(name)
    if array.dtype.kind == "O":
        raise BatchUnreadable(f"`{name}` holds null, objects or numbers too large for any type. Send plain numbers.")
    return array


def _text(name: str, value: Any) -> Array:
    """Text as objects: NumPy's own strings would each take the room of the longest."""
    array = np.array(value, dtype=object)
    if any(isinstance(item, list) for item in array.flat):
        raise BatchUnreadable(f"`{name}` is ragged: {_ragged(value)}. Pad all samples to one shape.")
    if not all(isinstance(item, str | bytes) for item in array.flat):
        raise _mixed(name)
    check_text(sum(map(len, array.flat)), array.size)
    return array


def _mixed(name: str) -> BatchUnreadable:
    return BatchUnreadable(f"`{name}` mixes text with numbers or null. Send one kind for all samples.")


def _leaves(value: Any) -> Iterator[Any]:
    """What stands in nested lists, in order."""
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


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
        return np.asarray(value).dtype.kind != "O"
    except ValueError:
        return False
