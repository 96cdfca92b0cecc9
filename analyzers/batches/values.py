"""What stands in an array: its type against the type that the model wants, and no value that is not finite."""

from __future__ import annotations

from typing import Any

import numpy as np

from analyzers.batches.spec import Array
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


def to_input(what: str, array: Array, dtype: str) -> Array:
    """`array` in the dtype that the model wants; `what` names it in messages.

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
    converted = _cast(array, target)
    if target.kind == "f" and target.itemsize < array.dtype.itemsize:
        check_finite(f"{what} as {target}", converted)
    return converted


def check_numeric(what: str, array: Array) -> None:
    """Raises BatchMismatch unless the array holds numbers or booleans."""
    kind = array.dtype.kind
    if kind in UNFIT_KINDS:
        raise BatchMismatch(f"{what} holds {UNFIT_KINDS[kind]}.")
    if kind in TEXT_KINDS:
        raise BatchMismatch(
            f"{what} holds text, and the model wants numbers: encode it as it was encoded for training."
        )


def check_finite(what: str, array: Array) -> None:
    """Raises BatchMismatch where values are NaN or infinite: how many, and the index of the first."""
    if array.dtype.kind != "f" or bool(np.isfinite(array).all()):
        return
    bad = np.argwhere(~np.isfinite(array))
    first = tuple(int(index) for index in bad[0])
    nans = int(np.isnan(array).sum())
    infinite = len(bad) - nans
    counts = " and ".join(
        text for number, text in ((nans, f"{nans} NaN"), (infinite, f"{infinite} infinite")) if number
    )
    raise BatchMismatch(
        f"{what} has values that are not finite: {counts} of {array.size}, the first at index {first}. "
        "Both phases would be NaN from there on: remove or fill them."
        if first
        else f"{what} is not finite."
    )


def _numpy_dtype(wanted: str, given: np.dtype[Any]) -> np.dtype[Any]:
    """NumPy's type for a Keras type; bfloat16 and the like travel as float32, which Keras narrows itself."""
    try:
        dtype = np.dtype(wanted)
    except TypeError:
        return np.dtype("float32")
    return dtype if dtype.kind in "fiub" else given


def _cast(array: Array, target: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is reported by name
        return array.astype(target, copy=False)


def _check_whole(what: str, array: Array, dtype: str) -> None:
    fractions = array != np.trunc(array)
    if fractions.any():
        first = tuple(int(index) for index in np.argwhere(fractions)[0])
        raise BatchMismatch(
            f"{what} wants whole numbers ({dtype}), the batch has fractions: {float(array[first]):g} at index {first}."
        )


def _check_range(what: str, array: Array, target: np.dtype[Any]) -> None:
    limits = np.iinfo(target)
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        raise BatchMismatch(
            f"{what} wants {target} ({limits.min} to {limits.max}), the batch has {array.min()} to {array.max()}."
        )


def _text(what: str, array: Array) -> Array:
    if array.dtype.kind not in TEXT_KINDS:
        raise BatchMismatch(f"{what} wants text, the batch has {array.dtype}.")
    return array
