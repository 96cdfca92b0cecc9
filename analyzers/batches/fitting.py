"""Holding a batch against a model: the right arrays in the right order, of fitting shape, type and length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyzers.batches.conversions import conversion
from analyzers.batches.guess import fits, guess_slip
from analyzers.batches.labels import fit_labels, fit_weights
from analyzers.batches.lazy import Array, Samples
from analyzers.batches.matching import match, spread_columns
from analyzers.batches.spec import Batch, Conversion, RawBatch, TensorSpec, shape_text
from analyzers.batches.values import dtype_of, to_input
from analyzers.errors import BatchMismatch, BatchTooSmall


def fit_batch(raw: RawBatch, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Batch:
    """Order and check a batch for a model with these inputs and outputs.

    Inputs are converted to the model's types; nothing is reshaped but that one value a sample may come with or without
    an axis of its own. Labels out of a head's range are not refused here: they are a finding. Without `inputs` (a model
    that does not tell them) arrays are taken by their indices.

    Raises:
        BatchMismatch: names, shapes, types or lengths do not fit, or values are not finite.
        BatchTooSmall: there are no samples.
    """
    raw = spread_columns(raw, inputs)
    arrays = match("x", raw.x, inputs)
    specs = list(inputs) or [TensorSpec(f"x_{i}", (), dtype_of(a)) for i, a in enumerate(arrays)]
    fitted = [_fit_input(array, spec) for array, spec in zip(arrays, specs, strict=True)]
    x = [samples for samples, _ in fitted]
    count = _samples(x, specs)
    return Batch(
        x=x,
        y=fit_labels(raw.y, outputs, count),
        sample_weight=None if raw.sample_weight is None else fit_weights(raw.sample_weight, count),
        input_names=[spec.name for spec in specs],
        output_names=[spec.name for spec in outputs],
        conversions=[found for _, found in fitted if found is not None],
    )


def _fit_input(array: Array, spec: TensorSpec) -> tuple[Samples, Conversion | None]:
    what = f"input `{spec.name}`"
    if array.ndim == 0:
        raise BatchMismatch(f"{what} wants an array with samples on its first axis, the batch has a single number.")
    if array.shape[0] == 0 and len(array.shape) in (1, len(spec.shape)):
        raise BatchTooSmall("The batch has no samples. Send at least two; a few hundred tell most.")
    wanted = (None, *spec.shape[1:])
    array = _one_a_sample(array, wanted) if spec.shape else array
    if spec.shape and not fits(wanted, array.shape):
        raise BatchMismatch(_shape_complaint(what, wanted, array.shape))
    made = to_input(what, array, spec.dtype)
    return made, conversion(spec.name, array, made)


def _one_a_sample(array: Array, wanted: tuple[int | None, ...]) -> Array:
    """(samples,) where the model wants (samples, 1), and the reverse, as Keras itself does in `fit` and `predict`."""
    if wanted == (None, 1) and array.ndim == 1:
        return array[:, np.newaxis]
    if wanted == (None,) and array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    return array


def _shape_complaint(what: str, wanted: tuple[int | None, ...], given: tuple[int, ...]) -> str:
    slip = guess_slip(wanted, given)
    complaint = f"{what} wants {shape_text(wanted)}, the batch has {shape_text(given)}"
    return f"{complaint}: {slip}" if slip else f"{complaint}."


def _samples(x: Sequence[Samples], specs: Sequence[TensorSpec]) -> int:
    counts = {spec.name: array.shape[0] for spec, array in zip(specs, x, strict=True)}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"`{name}` {count}" for name, count in counts.items())
        raise BatchMismatch(
            f"The inputs have different numbers of samples: {listed}. Sample i of each must belong together."
        )
    return int(x[0].shape[0])
