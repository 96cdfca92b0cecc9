"""Every public layer of `keras.layers` in a small model that was trained until its statistics are those of the data.

Found in Keras' own namespace; what a class needs is told from the names of its arguments (`benchmarks.zoo.recipes`).
Such a model is healthy: the statistics of its normalizations are stationary. What is called ill is a false claim.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import keras

from benchmarks.zoo import low_precision, normalizing, recipes
from benchmarks.zoo.exhibit import Exhibit, LeftOut, Prepared, Refusal
from benchmarks.zoo.small_models import Small, saved

LIMIT_SECONDS = 120.0

LEFT_OUT = {
    "Layer": "abstract: it has no call",
    "Wrapper": "abstract: it has no call",
    "InputLayer": "stands in every other model",
    "MaxNumBoundingBoxes": "pads bounding boxes in a pipeline of data, and takes no tensor",
    "TFSMLayer": "needs a SavedModel folder, which a model file cannot hold",
    "TorchModuleWrapper": "needs PyTorch, which is not installed",
    "FlaxLayer": "needs JAX, which is not installed",
    "JaxLayer": "needs JAX, which is not installed",
}
"""Classes that cannot stand in a saved model that this environment could make."""

REFUSED = {
    "Lambda": Refusal("model_unsafe", ("`subject`", "lambda")),
    # Crops in training only: what stands behind it is built for the crop, and inference meets the whole picture.
    "RandomCrop": Refusal("batch_mismatch", ("hidden",)),
    # Keras saves such a model and cannot load it again: the projections inside lose their variables.
    **{f"MultiHeadAttention quantized {mode}": Refusal("model_unreadable", ("key",)) for mode in low_precision.MODES},
}
"""Models whose refusal is the right answer."""

MORE = {**normalizing.MODELS, **low_precision.MODELS}
"""Models beside one for each class: kinds of batch normalization, and layers of low precision."""


def exhibits(every: bool) -> Iterator[Exhibit]:
    """One for each class, aliases once, and then the others."""
    for name in [*_classes(), *MORE]:
        yield Exhibit("layers", name, keras.__version__, LIMIT_SECONDS, "more" if name in MORE else "class")


def _classes() -> dict[str, type[keras.Layer]]:
    found = inspect.getmembers(keras.layers, inspect.isclass)
    return {c.__name__: c for _, c in found if issubclass(c, keras.Layer)}


def prepare(exhibit: Exhibit, folder: Path) -> Prepared:
    """Build, train, save."""
    name = exhibit.name
    if name in LEFT_OUT:
        raise LeftOut(LEFT_OUT[name])
    keras.utils.set_random_seed(0)
    small: Small = MORE[name]() if name in MORE else recipes.model(_classes()[name])
    return saved(small, folder, REFUSED.get(name))
