"""Building without random weights: the file overwrites every one of them, and drawing them is a third of the time.

Keras builds a model from its configuration first, with weights drawn anew, and puts the stored ones in their place
then. Here the drawn ones are zeros. A variable that the file does not hold, which a registered class may leave out,
would stay so; it is found, and the model built once more as Keras does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

DRAWING = ("Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling")
"""The initializers that draw; Glorot's, He's and LeCun's are kinds of the last."""

FIRST = 16
"""Values of a weight that are looked at before all of them: if one is not zero, that tells."""

Shapes = set[tuple[int, ...]]


def without_drawing(build: Callable[[], Any]) -> Any:
    """What `build` gives: a model that it loads from a file, without the weights that it would draw and overwrite."""
    with _zeros_in_place_of_draws() as undrawn:
        model = build()
    if _is_left_undrawn(model, undrawn):
        del model
        return build()
    return model


@contextmanager
def _zeros_in_place_of_draws() -> Iterator[Shapes]:
    """Inside, random initializers of both Keras give zeros; the shapes that they were asked for."""
    undrawn: Shapes = set()

    def zeros(initializer: Any, shape: Any, dtype: Any = None, **_: Any) -> Any:
        undrawn.add(tuple(shape))
        return tf.zeros(shape, dtype or keras.config.floatx())

    kinds = [getattr(family.initializers, name) for family in (keras, tf_keras) for name in DRAWING]
    plain = {kind: kind.__call__ for kind in kinds}
    for kind in kinds:
        kind.__call__ = zeros
    try:
        yield undrawn
    finally:
        for kind, call in plain.items():
            kind.__call__ = call


def _is_left_undrawn(model: Any, undrawn: Shapes) -> bool:
    """Whether a variable of the model may still hold the zeros; one that the file says is zero is taken for such.

    Vocabularies, which Keras 2 counts among the variables, have no shape and are not drawn.
    """
    shaped = [variable for variable in getattr(model, "variables", ()) if hasattr(variable, "shape")]
    return any(tuple(variable.shape) in undrawn and not _any(variable) for variable in shaped)


def _any(variable: Any) -> bool:
    values = np.asarray(variable.numpy()).ravel()
    return bool(values[:FIRST].any() or values.any())
