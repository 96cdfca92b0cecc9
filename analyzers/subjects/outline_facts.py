"""What a file is found to hold before any model is built: the facts of the static pass, whatever the format.

Facts come from configurations, names and small vectors alone. What a format does not tell is None, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from analyzers.subjects.facts import ModelFile

Format = Literal["keras", "h5", "saved_model", "weights_h5", "legacy_weights_h5", "checkpoint"]
WEIGHTS_ONLY: tuple[Format, ...] = ("weights_h5", "legacy_weights_h5", "checkpoint")

DEFAULT_MOMENTUM, DEFAULT_EPSILON = 0.99, 1e-3
"""Keras' own, where a configuration leaves them out."""


@dataclass(frozen=True)
class Stored:
    """Moving statistics of one layer, by channels: how many are `non_finite` (mean or variance), `negative` or exactly
    `zero` (variance), and the `least` and `largest` finite variance (NaN without any). `at_start`: exactly 0 and 1.
    """

    channels: int
    at_start: bool
    non_finite: int
    negative: int
    zero: int
    least: float
    largest: float
    median: float

    @property
    def impossible(self) -> bool:
        """Whether no average of batches can have these values."""
        return self.non_finite > 0 or self.negative > 0


@dataclass(frozen=True)
class Normalizing:
    """A layer that normalizes by batch. `path` is as in reports where the file has names; `stored` None: not read."""

    path: str
    class_name: str
    channels: int | None = None
    momentum: float | None = None
    epsilon: float | None = None
    stored: Stored | None = None


@dataclass(frozen=True)
class Outline:
    """The facts of one file.

    `layers` counts layers in all, nested ones too, and `classes` by class; where only weights are in the file, those
    layers that hold any, by the names that the file has for their classes. `custom`: classes that are not Keras' own,
    with the layers of each; `code`: likewise Lambdas and layers that open other files. `moved`: whether some small
    parameter, a bias or gamma, stands where no initializer leaves it; None where the file has none. `untold`: places
    with four vectors like those of batch normalization, of which the file does not say what they are.
    """

    format: Format
    keras_version: str | None = None
    backend: str | None = None
    name: str = ""
    layers: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    normalizing: list[Normalizing] = field(default_factory=list)
    optimizer_iterations: int | None = None
    custom: dict[str, list[str]] = field(default_factory=dict)
    code: dict[str, list[str]] = field(default_factory=dict)
    parameters: int | None = None
    moved: bool | None = None
    untold: list[str] = field(default_factory=list)
    file: ModelFile | None = field(default=None, compare=False, repr=False)

    @property
    def weights_only(self) -> bool:
        """Whether there is no model in the file, only its weights."""
        return self.format in WEIGHTS_ONLY

    def with_weights(self, held: Weights, file: ModelFile) -> Outline:
        """The same of a whole model, with what its weights hold and what else its file says."""
        return replace(
            self,
            normalizing=held.normalizing,
            moved=held.moved,
            optimizer_iterations=file.optimizer_iterations,
            parameters=held.parameters,
            file=file,
        )


@dataclass(frozen=True)
class Weights:
    """What a weights file holds: batch-normalizing layers with their stored statistics, whether small parameters have
    moved, and how many numbers the layers hold, those of optimizers and metrics left out.
    """

    normalizing: list[Normalizing]
    moved: bool | None
    parameters: int


def judged(mean: NDArray[Any], variance: NDArray[Any]) -> Stored:
    """What stored statistics, (channels,) each, look like."""
    mean, variance = (np.asarray(values, dtype=np.float64) for values in (mean, variance))
    finite = variance[np.isfinite(variance)]
    return Stored(
        channels=int(variance.size),
        at_start=bool(np.all(mean == 0) and np.all(variance == 1)),
        non_finite=int(np.count_nonzero(~np.isfinite(mean) | ~np.isfinite(variance))),
        negative=int(np.count_nonzero(finite < 0)),
        zero=int(np.count_nonzero(finite == 0)),
        least=float(finite.min()) if finite.size else float("nan"),
        largest=float(finite.max()) if finite.size else float("nan"),
        median=float(np.median(finite)) if finite.size else float("nan"),
    )


def moved(vectors: list[NDArray[Any]]) -> bool | None:
    """Whether a parameter vector stands where no initializer leaves it: biases, betas and gammas start at constants.

    Scales of any other constant (layer scale) have all values alike, forget gates start at 1 among zeros; so only
    different values that are not all 0 or 1 say that something was trained. None: there are no vectors.
    """
    if not vectors:
        return None
    return any(_moved(np.asarray(vector, dtype=np.float64)) for vector in vectors)


def _moved(vector: NDArray[np.float64]) -> bool:
    finite = vector[np.isfinite(vector)]
    if not finite.size or np.isin(finite, (0.0, 1.0)).all():
        return False
    return finite.size == 1 or bool(np.any(finite != finite[0]))
