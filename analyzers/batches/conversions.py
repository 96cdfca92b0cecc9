"""What it costs to bring an input to the model's type: nothing, rounding that nobody sees, or what told samples apart.

A float64 time stamp in float32 is good to two minutes. Nothing fails then, and the model sees something else than was
sent.
"""

from __future__ import annotations

import numpy as np

from analyzers.batches.lazy import Array, Samples, spans
from analyzers.batches.spec import Conversion
from analyzers.batches.values import TEXT_KINDS


def conversion(name: str, given: Array, made: Samples) -> Conversion | None:
    """What the conversion of an input changed; None where every value is what was sent."""
    if given.dtype.kind in f"{TEXT_KINDS}Ob" or np.can_cast(given.dtype, made.dtype, "safe"):
        return None
    moved, spread = _moved(given, made)
    if not moved.any():
        return None
    share = np.divide(moved, spread, out=np.zeros_like(moved), where=spread > 0)
    return Conversion(name, str(given.dtype), str(made.dtype), float(share.max(initial=0.0)))


def _moved(given: Array, made: Samples) -> tuple[Array, Array]:
    """The most that values moved, and the standard deviation, by column (index on the last axis)."""
    moved = total = squares = np.zeros(1)
    start: Array | None = None
    count = 0
    for rows in spans(made):
        before, after = _columns(given[rows]), _columns(made[rows])
        start = before[:1] if start is None else start
        moved = np.maximum(moved, np.abs(before - after).max(axis=0, initial=0.0))
        total = total + (before - start).sum(axis=0)
        squares = squares + np.square(before - start).sum(axis=0)
        count += len(before)
    variance = squares / max(count, 1) - np.square(total / max(count, 1))
    moved, variance = np.broadcast_arrays(moved, variance)
    return moved, np.sqrt(np.maximum(variance, 0.0))


def _columns(rows: Array) -> Array:
    return rows.astype(np.float64).reshape(-1, rows.shape[-1] if rows.ndim > 1 else 1)
