"""Every architecture of `keras.applications`, with weights drawn at random and a few training steps behind it.

Found in Keras' own namespace, so that a new one is a new row. Nothing is downloaded: `weights=None`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.zoo.data import CLASSES, pictures
from benchmarks.zoo.exhibit import Exhibit, LeftOut, Prepared

SAMPLES, BATCH_SIZE = 24, 8
STEPS = 3  # Enough to move every weight and statistic; what an architecture is made of does not depend on more.
SIDES = (32, 71, 75, 96, 128, 224)  # Pixels. The least that Keras' architectures accept are 32, 71 and 75.
LIMIT_SECONDS = 300.0

LARGEST_PARAMETERS = 30_000_000
"""Members with more are left out unless `--all` is given: they repeat the blocks of a smaller member of the family."""

PLAUSIBLE = frozenset(
    {
        "bn_statistics_unconverged",
        "bn_statistics_stale",
        "bn_statistics_never_updated",
        "bn_small_batch",
        "weights_untrained",
    }
)
"""What is true of a network after so few steps on so few pictures."""


def exhibits(every: bool) -> Iterator[Exhibit]:
    """All architectures, by family; without `every`, those too large say so instead of being diagnosed."""
    for name, build in sorted(_architectures().items(), key=lambda pair: (_family(pair[1]), pair[0])):
        part = "applications"
        yield Exhibit(part, name, keras.__version__, LIMIT_SECONDS, _family(build), Path("all") if every else None)


def _architectures() -> dict[str, Callable[..., keras.Model]]:
    found = inspect.getmembers(keras.applications, inspect.isfunction)
    return {name: build for name, build in found if "weights" in inspect.signature(build).parameters}


def _family(build: Callable[..., Any]) -> str:
    return build.__module__.rsplit(".", 1)[-1]


def prepare(exhibit: Exhibit, folder: Path) -> Prepared:
    """Build, train a few steps, save."""
    keras.utils.set_random_seed(0)
    body, side = _built(_architectures()[exhibit.name])
    if exhibit.source is None and body.count_params() > LARGEST_PARAMETERS:
        raise LeftOut(f"{body.count_params() / 1e6:.0f} million parameters; `--all` diagnoses it")
    model = keras.Model(body.input, keras.layers.Dense(CLASSES, activation="softmax", name="head")(body.output))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    for step in range(STEPS):
        model.train_on_batch(*pictures(BATCH_SIZE, side, seed=1 + step))
    path, batch = folder / "model.keras", folder / "batch.npz"
    model.save(path)
    x, y = pictures(SAMPLES, side, seed=100)
    np.savez(batch, x=x, y=y)
    moving = sum(v.name == "moving_mean" for v in model.variables)
    return Prepared(path, batch, {"batch_size": BATCH_SIZE}, moving, PLAUSIBLE)


def _built(build: Callable[..., keras.Model]) -> tuple[keras.Model, int]:
    """The architecture without its own head, at the smallest size that it accepts."""
    for side in SIDES:
        try:
            return build(weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3)), side
        except ValueError as error:  # too small; the last size's error is the one to see
            refused = error
    raise refused
