"""A small model around one layer: trained, saved, and a fresh sample beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.zoo.data import CLASSES, Array
from benchmarks.zoo.exhibit import REPLAY_TOLERANCE, Prepared, Refusal

MOMENTUM = 0.9
ROWS, EPOCHS, BATCH_SIZE = 512, 8, 32
"""128 updates: 0.9^128 leaves a millionth of the start."""

SAMPLES = 64
HALF_ROUNDING = 2.0**-10  # From 1 to the next number in float16.

Draw = Callable[[int, int], tuple[dict[str, Array], Any]]
"""Inputs by name and labels (by output, where there are several), of so many rows from a seed."""


@dataclass
class Small:
    """An untrained model with its data. `after` is done to the trained model (quantizing it, say)."""

    model: keras.Model
    draw: Draw
    normalizing: int
    plausible: frozenset[str] = frozenset()
    after: list[Callable[[keras.Model], None]] = field(default_factory=list)


def normalization(name: str, **options: Any) -> keras.layers.BatchNormalization:
    """A batch normalization that converges within the training here."""
    return keras.layers.BatchNormalization(momentum=MOMENTUM, name=name, **options)


def headed(inputs: Any, features: Any) -> keras.Model:
    """The model from `inputs` to classes: `features` of any shape, a normalized hidden layer, a softmax."""
    if len(features.shape) > 2:
        sizes = features.shape[1:]
        flat = keras.layers.Flatten if None not in sizes else keras.layers.GlobalAveragePooling1D
        features = flat(name="flat")(features)
    x = keras.layers.Dense(8, name="hidden")(features)
    x = keras.layers.ReLU(name="positive")(normalization("after")(x))
    return keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax", name="classes")(x))


def saved(small: Small, folder: Path, refusal: Refusal | None = None) -> Prepared:
    """Train, save, draw the sample of the diagnosis."""
    model = small.model
    x, y = small.draw(ROWS, 1)
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=_metrics(model), jit_compile=False
    )
    fed = _fed(model, x)
    model.fit(fed, y, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    for change in small.after:
        change(model)
    path, batch = folder / "model.keras", folder / "batch.npz"
    model.save(path)
    sample, labels = small.draw(SAMPLES, 2)
    named = sample if len(sample) == 1 else {f"x_{name}": v for name, v in sample.items()}
    targets = {f"y_{name}": y for name, y in labels.items()} if isinstance(labels, dict) else {"y": labels}
    np.savez(batch, **targets, **({"x": next(iter(named.values()))} if len(named) == 1 else named))
    promised = (small.normalizing, small.plausible, refusal, draws(model), _tolerance(model))
    return Prepared(path, batch, {"batch_size": BATCH_SIZE}, *promised)


def _tolerance(model: keras.Model) -> float:
    """Statistics stored in half precision cannot be replayed closer than they are stored."""
    kept = [v for v in model.variables if v.name == "moving_mean"]
    return REPLAY_TOLERANCE + sum(HALF_ROUNDING for v in kept if v.dtype == "float16")


def draws(model: keras.Model) -> bool:
    """Whether any layer has a random generator: only then may a gap be put down to chance."""
    return any("seed_generator" in v.path for v in model.variables)


def _metrics(model: keras.Model) -> Any:
    """Accuracy of each output."""
    names = list(model.output_names) if hasattr(model, "output_names") else []
    return {name: ["accuracy"] for name in names} if len(names) > 1 else ["accuracy"]


def _fed(model: keras.Model, x: dict[str, Array]) -> Any:
    """As `fit` takes it: text as tensors, since NumPy's text is none of TensorFlow's types."""
    import tensorflow as tf

    given = [tf.constant(v) if v.dtype.kind == "U" else v for v in x.values()]
    return given[0] if len(given) == 1 else dict(zip(x, given, strict=True))
