"""One call of a batch-normalizing layer with chosen statistics; the layer's own code does all the arithmetic.

Batch statistics are read by setting the momentum to 0 for the one call, after which the moving statistics *are* the
batch statistics. Constants are applied by an inference call with the constants standing in the moving statistics. What
stood there is put back within the same call.

Layers of Keras 2 differ in two ways. Their fused kernel leaves the unbiased variance, N / (N - 1) of the one that it
normalizes by: they are run unfused, which is what they do for every other shape of input. And they may renormalize:
Source: Ioffe, Batch Renormalization (2017), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzers.subjects.families import is_legacy, is_own
from analyzers.tensors import read, write

Constants = tuple[NDArray[Any], NDArray[Any]]
"""A mean and a variance, both (channels,), in the dtype of the layer's moving statistics."""

Call = tuple[Any, tuple[Any, ...], dict[str, Any]]
"""The layer's `call` as it was, and the arguments of this call without the training flag."""


def stored(layer: Any) -> Constants:
    """The moving statistics as they stand."""
    return read(layer.moving_mean), read(layer.moving_variance)


def with_constants(layer: Any, call: Call, pair: Constants) -> Any:
    """What the layer makes of the inputs with `pair` for moving statistics."""
    original, args, kwargs = call
    kept = stored(layer)
    _assign(layer, pair)
    try:
        with _unfused(layer):
            return original(*args, training=False, **kwargs)
    finally:
        _assign(layer, kept)


def as_stored(layer: Any, call: Call) -> Any:
    """What the layer makes of the inputs at inference."""
    original, args, kwargs = call
    with _unfused(layer):
        return original(*args, training=False, **kwargs)


def with_batch_statistics(layer: Any, call: Call, *, renormalize: bool) -> tuple[Any, Constants]:
    """What the layer makes of the inputs by their own statistics, and these.

    With `renormalize` a renormalizing layer does so, as in its training phase, and the statistics are those that a
    plain layer would have to be given for the same outputs.
    """
    original, args, kwargs = call
    kept, momentum = stored(layer), layer.momentum
    renorm = getattr(layer, "renorm", False)
    # Keras 3 takes 0 * what stands there + 1 * the batch's. A NaN would survive that, since 0 * NaN is NaN, and others
    # add the difference, which rounds: they start from zeros.
    exact = is_own(layer) and not is_legacy(layer)
    if not (exact and np.isfinite(kept[0]).all() and np.isfinite(kept[1]).all()):
        _assign(layer, (np.zeros_like(kept[0]), np.zeros_like(kept[1])))
    layer.momentum = 0.0
    if renorm:
        layer.renorm = False
    try:
        with _unfused(layer):
            outputs = original(*args, training=True, **kwargs)
        applied = stored(layer)
    finally:
        layer.momentum = momentum
        if renorm:
            layer.renorm = True
        _assign(layer, kept)
    if renorm and renormalize:
        applied = _renormalized(layer, applied)
        outputs = with_constants(layer, call, applied)
    return outputs, applied


def _renormalized(layer: Any, batch: Constants) -> Constants:
    """Mean and variance by which a plain layer does what a renormalizing one does on this batch."""
    clipping = layer.renorm_clipping or {}
    deviation = np.sqrt(batch[1] + layer.epsilon)
    usual = np.array(layer.renorm_stddev)
    r = np.clip(deviation / usual, clipping.get("rmin", 0.0), clipping.get("rmax", np.inf))
    limit = clipping.get("dmax", np.inf)
    d = np.clip((batch[0] - np.array(layer.renorm_mean)) / usual, -limit, limit)
    mean, variance = batch[0] - d * deviation / r, np.square(deviation / r) - layer.epsilon
    return mean.astype(batch[0].dtype), variance.astype(batch[1].dtype)


@contextmanager
def _unfused(layer: Any) -> Iterator[None]:
    """Without the fused kernel of Keras 2, whose training and inference differ in the last bits as well."""
    fused = getattr(layer, "fused", None)
    if fused:
        layer.fused = False
    try:
        yield
    finally:
        if fused:
            layer.fused = fused


def _assign(layer: Any, pair: Constants) -> None:
    write(layer.moving_mean, pair[0])
    write(layer.moving_variance, pair[1])
