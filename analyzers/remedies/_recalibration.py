"""Recalibration as code to paste: the same algorithm as `Observer.calibrate`, in a dozen lines of Keras.

A test holds the two against each other, value for value.
"""

from __future__ import annotations

import inspect
from typing import Any

import keras


def recalibrate(model: Any, x: Any) -> None:
    """Set the moving statistics of batch normalization to those of x, taken in one batch; nothing else changes."""
    layers = list(model._flatten_layers())
    norms = [n for n in layers if isinstance(n, keras.layers.BatchNormalization) and n.trainable]
    noisy = [(n, k) for n in layers for k in ("rate", "stddev", "dropout", "recurrent_dropout") if hasattr(n, k)]
    kept = [(n, k, getattr(n, k)) for n, k in noisy] + [(n, "momentum", n.momentum) for n in norms]
    for layer, name in noisy:
        setattr(layer, name, 0.0)  # no dropout while the statistics are taken
    for layer in norms:
        layer.momentum = 0.0  # so the statistics of this one batch replace the old ones
        layer.moving_mean.assign(keras.ops.zeros_like(layer.moving_mean))  # 0 * NaN is NaN: clear first
        layer.moving_variance.assign(keras.ops.ones_like(layer.moving_variance))
    model(x, training=True)
    for layer, name, value in kept:
        setattr(layer, name, value)


def snippet(samples: int) -> str:
    """The function with the line that calls it."""
    return (
        f"import keras\n\n{inspect.getsource(recalibrate).replace(': Any', '')}\n\n"
        "model = keras.saving.load_model('model.keras')\n"
        f"recalibrate(model, x_train)  # training data, the more the better; it was tried on {samples}\n"
        "model.save('model_recalibrated.keras')\n"
    )
