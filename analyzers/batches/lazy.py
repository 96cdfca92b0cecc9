"""Arrays whose rows are made when they are asked for, and walks over arrays that are too large to hold.

A batch may be larger than the memory of a diagnosis. Its arrays then lie in files that are mapped, and whatever is done
to all of them (another type, another scale, colours reversed) is done to the rows of one window at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Change = Callable[[Array], Array]
"""From rows (rows, ...) to as many rows of the same shape, each by itself: never by what its neighbours are."""

PIECE_BYTES = 1 << 24
"""16 MiB, a walk's step: far below any guest's memory, and large enough that NumPy's own speed is what counts."""


@dataclass(frozen=True, eq=False)
class LazyArray:
    """`change` applied to the rows of `base`, (samples, ...), whenever some are taken; `dtype` is what comes out."""

    base: Array | LazyArray
    change: Change
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        return self.change(self.base[rows])


Samples = Array | LazyArray
"""One input of a batch, (samples, ...): in memory, mapped, or made row by row. Ask it for rows, not for all of it."""


def changed(x: Samples, change: Change, dtype: np.dtype[Any] | None = None) -> LazyArray:
    """`x` with `change` applied to all of its rows; nothing is computed yet. `dtype` None: the type stays."""
    return LazyArray(x, change, x.dtype if dtype is None else dtype)


def spans(x: Samples) -> Iterator[slice]:
    """All rows of `x` in order, in pieces of about `PIECE_BYTES`."""
    row_bytes = max(x.size // max(len(x), 1), 1) * max(x.dtype.itemsize, 8)  # checks count in float64
    step = max(PIECE_BYTES // row_bytes, 1)
    return (slice(start, start + step) for start in range(0, len(x), step))


def pieces(x: Samples) -> Iterator[Array]:
    """The rows of `x` in order, piece by piece."""
    return (np.asarray(x[rows]) for rows in spans(x))


def every(x: Samples, holds: Callable[[Array], Any]) -> bool:
    """Whether something holds in every piece of `x`."""
    return all(bool(holds(piece)) for piece in pieces(x))


def least_and_most(x: Samples) -> tuple[Any, Any]:
    """The smallest and the largest value of a non-empty `x`."""
    found = [(piece.min(), piece.max()) for piece in pieces(x)]
    return min(low for low, _ in found), max(high for _, high in found)
