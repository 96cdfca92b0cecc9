"""What a model gave for a batch: its outputs, and the logits behind a softmax or sigmoid where Keras knows them.

Keras computes a crossentropy from the logits that it finds attached to an output, so `evaluate` prints losses that the
probabilities alone cannot give: a probability below 1e-7 is clipped, a logit is not. So the logits are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from analyzers.errors import BatchMismatch

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Outputs(Sequence[Array]):
    """Arrays (samples, ...), one an output; `logits` has an array of the same shape, or None, for each."""

    values: list[Array]
    logits: list[Array | None]

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Array]: ...
    def __getitem__(self, index: Any) -> Any:
        return self.values[index]

    def check(self, samples: int) -> None:
        """Raise BatchMismatch unless every output has a row for each sample."""
        for number, output in enumerate(self.values):
            if output.shape[:1] != (samples,):
                rows = len(output) if output.ndim else 1
                raise BatchMismatch(
                    f"Output {number + 1} of the model has {rows} row{'s' * (rows != 1)} for a batch of {samples} "
                    "samples. Phases are compared sample by sample: send a model whose outputs keep the batch's first "
                    "axis."
                )

    def take(self, rows: Rows | slice) -> Outputs:
        """The outputs of some samples."""
        return Outputs([v[rows] for v in self.values], [None if z is None else z[rows] for z in self.logits])

    def copy(self) -> Outputs:
        """An independent copy."""
        return Outputs([v.copy() for v in self.values], [None if z is None else z.copy() for z in self.logits])

    def put(self, rows: Rows, other: Outputs) -> None:
        """Overwrite the samples `rows` with those of `other`."""
        for target, source in zip([*self.values, *self.logits], [*other.values, *other.logits], strict=True):
            if target is not None and source is not None:
                target[rows] = source[rows]


def joined(parts: Sequence[Outputs]) -> Outputs:
    """Outputs of disjoint samples, one after the other."""
    values = [np.concatenate([p.values[i] for p in parts]) for i in range(len(parts[0].values))]
    logits: list[Array | None] = []
    for i in range(len(values)):
        pieces = [z for p in parts if (z := p.logits[i]) is not None]
        logits.append(np.concatenate(pieces) if len(pieces) == len(parts) else None)
    return Outputs(values, logits)
