"""From named arrays to a raw batch: `x`, `x_<input>`, `y`, `y_<output>`, `sample_weight`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from analyzers.batches.lazy import Array
from analyzers.batches.spec import RawBatch
from analyzers.errors import BatchUnreadable

LABEL_LIKE = frozenset({"label", "labels", "target", "targets", "classes", "class", "Y"})
"""Names under which labels often travel. Where there is no `y` beside them, leaving them out in silence would give a
report without labels that nobody asked for."""

MAX_NAMES_SHOWN = 10
"""Names listed in an error before "and so on": a message is read by a human."""


def key_of(name: str, letter: str) -> str | None:
    """The key under which array `name` belongs to `letter` (x or y), None where it does not."""
    if name == letter:
        return ""
    return name[2:] if name.startswith(letter + "_") and len(name) > 2 else None


def is_wanted(name: str, label: str | None = None) -> bool:
    """Whether an array of this name is part of a batch, `label` naming that of the labels; others need not be read."""
    named = key_of(name, "x") is not None or key_of(name, "y") is not None
    return name == "sample_weight" or named or name == label


def raw_from_named(arrays: Mapping[str, Array], all_names: Iterable[str] = (), label: str | None = None) -> RawBatch:
    """Sort named arrays into a raw batch; `all_names` are the names in the file, those not read among them.

    `label` names the array of the labels where that is not `y`, as `label_column` does in a table.

    Raises:
        BatchUnreadable: there is no `x`, or no array `label`, or labels seem to stand under another name.
    """
    names = list(all_names) or list(arrays)
    if label is not None and label != "y":
        if label not in arrays:
            raise BatchUnreadable(f"The batch has no array {listing([label])} for the labels; it has {listing(names)}.")
        arrays = {"y" if name == label else name: array for name, array in arrays.items() if name != "y"}
    each = [name for name in names if name.startswith("sample_weight_")]
    if each:
        raise BatchUnreadable(
            f"The batch has {listing(each)}. One `sample_weight`, with a weight for every sample, counts for all "
            "outputs."
        )
    x = _part(arrays, "x")
    y = _part(arrays, "y")
    if not x:
        raise BatchUnreadable(
            f"The batch has no array `x`; it has {listing(names)}. Name the inputs `x`, the labels `y`."
        )
    strays = [name for name in names if name in LABEL_LIKE]
    if not y and strays:
        raise BatchUnreadable(f"The batch has `{strays[0]}` but no `y`. Name the labels `y`, or leave them out.")
    return RawBatch(x=x, y=y, sample_weight=arrays.get("sample_weight"))


def raw_from_arrays(x: Any, y: Any = None, sample_weight: Any = None) -> RawBatch:
    """A raw batch from live values: an array each, or a list, tuple or dictionary of arrays for several.

    Arrays have their samples on the first axis. A list counts as several inputs only where its items are arrays; a list
    of numbers is one array.

    Raises:
        BatchUnreadable: a value cannot be made an array.
    """
    weights = None if sample_weight is None else _array("sample_weight", sample_weight)
    return RawBatch(x=_keyed("x", x), y={} if y is None else _keyed("y", y), sample_weight=weights)


def leaves(letter: str, value: Mapping[Any, Any]) -> dict[str, Any]:
    """What stands in a dictionary of dictionaries, by the innermost names; `letter` (x or y) is for the message.

    Raises:
        BatchUnreadable: two entries have the same innermost name, or there is none.
    """
    found: dict[str, Any] = {}
    for name, item in value.items():
        inner = leaves(letter, item) if isinstance(item, Mapping) else {str(name): item}
        twice = [key for key in inner if key in found]
        if twice:
            raise BatchUnreadable(
                f"`{letter}` has two entries {listing(twice[:1])} in different places. Name the arrays "
                f"`{letter}_<name in the model>`, or `{letter}_0`, `{letter}_1`, … in the model's order."
            )
        found.update(inner)
    return found


def listing(names: Iterable[str]) -> str:
    """Names for an error message: "`a`, `b` and 3 more", or "nothing"."""
    every = [f"`{name[:80]}`" for name in names]
    if not every:
        return "nothing"
    more = len(every) - MAX_NAMES_SHOWN
    return ", ".join(every[:MAX_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _part(arrays: Mapping[str, Array], letter: str) -> dict[str, Array]:
    keyed = {key_of(name, letter): array for name, array in arrays.items()}
    return {key: array for key, array in keyed.items() if key is not None}


def _keyed(letter: str, value: Any) -> dict[str, Array]:
    if isinstance(value, Mapping):
        return {name: _array(f"{letter}_{name}", item) for name, item in leaves(letter, value).items()}
    if isinstance(value, list | tuple) and value and all(hasattr(item, "shape") and len(item.shape) for item in value):
        return {str(index): _array(f"{letter}_{index}", item) for index, item in enumerate(value)}
    return {"": _array(letter, value)}


def _array(name: str, value: Any) -> Array:
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise BatchUnreadable(f"`{name}` cannot be made an array: its rows have different lengths or types.") from error
