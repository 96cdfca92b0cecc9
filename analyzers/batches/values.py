"""What stands in an array: its type against the type that the model wants, and no value that is not finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from analyzers.batches.lazy import Array, Samples, changed, every, least_and_most, pieces, spans
from analyzers.batches.limits import IN_MEMORY_BYTES
from analyzers.errors import BatchMismatch

UNFIT_KINDS = {
    "O": "Python objects: save it as numbers (rows of different lengths need padding)",
    "c": "complex numbers, which Keras would cut to their real parts: send magnitudes or two channels",
    "M": "dates: send numbers, such as seconds",
    "m": "time differences: send numbers, such as seconds",
    "V": "records with named fields: send one plain array",
}
"""NumPy's kinds that no model reads, with what to do."""

TEXT_KINDS = "SU"


def is_text(array: Array) -> bool:
    """Whether an array holds strings, NumPy's or Python's own."""
    if array.dtype.kind in TEXT_KINDS:
        return True
    return array.dtype.kind == "O" and array.size > 0 and all(isinstance(item, str | bytes) for item in array.flat)


def dtype_of(array: Array) -> str:
    """The type of an array as Keras names it."""
    return "string" if is_text(array) else str(array.dtype)


def to_input(what: str, array: Array, dtype: str) -> Samples:
    """`array` in the dtype that the model wants; `what` names it in messages. What is large is converted row by row.

    Raises:
        BatchMismatch: text, objects or complex numbers, fractions for whole numbers, NaN, infinite, out of range.
    """
    if dtype == "string":
        return _text(what, array)
    check_numeric(what, array)
    check_finite(what, array)
    target = _numpy_dtype(dtype, array.dtype)
    if target.kind in "iu" and array.dtype.kind == "f":
        _check_whole(what, array, dtype)
    if target.kind in "iu":
        _check_range(what, array, target)
    if target.kind == "b" and array.dtype.kind != "b":
        _check_true_or_false(what, array)
    converted = _converted(array, target)
    if target.kind == "f" and target.itemsize < array.dtype.itemsize:
        check_finite(f"{what} as {target}", converted)
    return converted


def check_numeric(what: str, array: Array) -> None:
    """Raises BatchMismatch unless the array holds numbers or booleans."""
    if is_text(array):
        raise BatchMismatch(
            f"{what} holds text, and the model wants numbers: encode it as it was encoded for training."
        )
    kind = array.dtype.kind
    if kind in UNFIT_KINDS:
        raise BatchMismatch(f"{what} holds {UNFIT_KINDS[kind]}.")


def check_finite(what: str, array: Samples) -> None:
    """Raises BatchMismatch where values are NaN or infinite: how many, and the index of the first."""
    if array.dtype.kind != "f":
        return
    if array.ndim == 0:
        if not np.isfinite(array[()]):
            raise BatchMismatch(f"{what} is not finite.")
        return
    first = _first(array, lambda piece: ~np.isfinite(piece))
    if first is None:
        return
    nans = sum(int(np.isnan(piece).sum()) for piece in pieces(array))
    infinite = sum(int(np.isinf(piece).sum()) for piece in pieces(array))
    counts = " and ".join(
        text for number, text in ((nans, f"{nans} NaN"), (infinite, f"{infinite} infinite")) if number
    )
    raise BatchMismatch(
        f"{what} has values that are not finite: {counts} of {array.size}, the first at index {first}. "
        "Both phases would be NaN from there on: remove or fill them."
    )


def _first(array: Samples, wrong: Callable[[Array], Array]) -> tuple[int, ...] | None:
    """The index of the first value that is wrong."""
    for rows in spans(array):
        bad = wrong(array[rows])
        if bad.any():
            row, *rest = (int(index) for index in np.argwhere(bad)[0])
            return (rows.start + row, *rest)
    return None


def _numpy_dtype(wanted: str, given: np.dtype[Any]) -> np.dtype[Any]:
    """NumPy's type for a Keras type; bfloat16 and the like travel as float32, which Keras narrows itself."""
    try:
        dtype = np.dtype(wanted)
    except TypeError:
        return np.dtype("float32")
    return dtype if dtype.kind in "fiub" else given


def _converted(array: Array, target: np.dtype[Any]) -> Samples:
    if array.dtype == target:
        return array

    def cast(rows: Array) -> Array:
        with np.errstate(over="ignore"):  # what overflows becomes infinite and is reported by name
            return rows.astype(target)

    return cast(array) if array.size * target.itemsize <= IN_MEMORY_BYTES else changed(array, cast, target)


def _check_whole(what: str, array: Array, dtype: str) -> None:
    first = _first(array, lambda piece: piece != np.trunc(piece))
    if first is not None:
        raise BatchMismatch(
            f"{what} wants whole numbers ({dtype}), the batch has fractions: {float(array[first]):g} at index {first}."
        )


def _check_range(what: str, array: Array, target: np.dtype[Any]) -> None:
    limits = np.iinfo(target)
    if not array.size:
        return
    low, high = least_and_most(array)
    if low < limits.min or high > limits.max:
        raise BatchMismatch(f"{what} wants {target} ({limits.min} to {limits.max}), the batch has {low} to {high}.")


def _check_true_or_false(what: str, array: Array) -> None:
    if not every(array, lambda piece: np.isin(piece, (0, 1)).all()):
        low, high = least_and_most(array)
        raise BatchMismatch(f"{what} wants true or false (0 or 1), the batch has values from {low} to {high}.")


def _text(what: str, array: Array) -> Array:
    if not is_text(array):
        held = UNFIT_KINDS["O"] if array.dtype.kind == "O" else str(array.dtype)
        raise BatchMismatch(f"{what} wants text, the batch has {held}. Send strings, as the model was trained with.")
    return array
