"""Holding labels and sample weights against the outputs and the number of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analyzers.batches.guess import fits
from analyzers.batches.lazy import Array
from analyzers.batches.matching import match
from analyzers.batches.spec import TensorSpec, shape_text
from analyzers.batches.values import check_finite, check_numeric, is_text
from analyzers.errors import BatchMismatch


def fit_labels(arrays: Mapping[str, Array], outputs: Sequence[TensorSpec], samples: int) -> list[Array] | None:
    """Labels in the order of the outputs, None where there are none. Their type is kept.

    A label may be one class number per position, or have the shape of the output. What the loss makes of it is not
    judged.

    Raises:
        BatchMismatch: missing or unknown names, another number of samples, text, NaN, or a shape no loss could take.
    """
    if not arrays:
        return None
    labels = match("y", arrays, outputs)
    specs = list(outputs) or [TensorSpec(name=f"y_{index}", shape=(), dtype="") for index in range(len(labels))]
    for array, spec in zip(labels, specs, strict=True):
        _check_label(array, spec, samples)
    return labels


def fit_weights(weights: Array, samples: int) -> Array:
    """Sample weights as float32 (samples,). Raises BatchMismatch for other shapes, text, NaN, negative
    weights, or where all are 0."""
    check_numeric("sample_weight", weights)
    check_finite("sample_weight", weights)
    flat = weights[:, 0] if weights.ndim == 2 and weights.shape[1] == 1 else weights
    if flat.shape != (samples,):
        raise BatchMismatch(
            f"sample_weight wants ({samples},), one weight a sample; the batch has {shape_text(weights.shape)}."
        )
    if samples and flat.min() < 0:
        raise BatchMismatch(
            f"sample_weight has negative weights, the first at index {int(np.argmax(flat < 0))}. "
            "Send weights of 0 and more."
        )
    with np.errstate(over="ignore", under="ignore"):  # what overflows becomes infinite and is reported
        converted: Array = np.asarray(flat, dtype="float32")
    check_finite("sample_weight as float32", converted)
    if samples and not converted.any():
        raise BatchMismatch(
            "sample_weight is 0 for every sample, so none would count. Leave it out to count all alike."
        )
    return converted


def _check_label(array: Array, spec: TensorSpec, samples: int) -> None:
    what = f"the labels of output `{spec.name}`"
    if array.ndim == 0 or array.shape[0] != samples:
        count = array.shape[0] if array.ndim else 1
        raise BatchMismatch(
            f"The batch has {samples} samples, but {what} are {count}. Each sample needs its own label."
        )
    if is_text(array):
        raise BatchMismatch(f"{what} are text. Send numbers: the class number of each, as they were for training.")
    check_numeric(f"the array of {what}", array)
    check_finite(f"the array of {what}", array)
    if spec.shape and not _plausible(array.shape, (None, *spec.shape[1:])):
        raise BatchMismatch(
            f"output `{spec.name}` has the shape {shape_text((None, *spec.shape[1:]))}, "
            f"{what} have {shape_text(array.shape)}: send one class number per position, or labels "
            "of the output's shape (one-hot)."
        )


def _plausible(given: tuple[int, ...], output: tuple[int | None, ...]) -> bool:
    """One number per position, with or without a trailing axis, the output's own shape, or a shorter sequence."""
    return fits(output, given) or fits((*output[:-1], 1), given) or len(given) == len(output) - 1
