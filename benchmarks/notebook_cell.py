"""What people write in a notebook when training and evaluation disagree: the work that a diagnosis replaces.

Loads the model, evaluates it, runs one training-phase pass, and compares each batch-normalizing layer's input with its
stored statistics by way of a sub-model. It names no cause, tries no fix, and leaves the moving statistics changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def notebook_cell(model_path: Path, batch_path: Path) -> dict[str, Any]:
    """The cell, start to end, on a model of image shape with one input and integer labels."""
    import keras

    model: Any = keras.models.load_model(model_path)
    with np.load(batch_path) as batch:
        x, y = batch["x"], batch["y"]
    loss, accuracy = model.evaluate(x, y, verbose=0)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    inner = keras.Model(model.input, [layer.input for layer in norms] + model.outputs)
    *inputs, outputs = inner(x, training=True)
    training_accuracy = float((np.asarray(outputs).argmax(axis=1) == y).mean())
    layers = {layer.name: _kl(layer, np.asarray(seen)) for layer, seen in zip(norms, inputs, strict=True)}
    return {"loss": loss, "accuracy": accuracy, "training_accuracy": training_accuracy, "layers": layers}


def _kl(layer: Any, seen: Any) -> float:
    """KL(batch || stored), averaged over channels."""
    axes = tuple(range(seen.ndim - 1))
    mean, variance = seen.mean(axis=axes), seen.var(axis=axes) + layer.epsilon
    stored_mean, stored_variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance) + layer.epsilon
    ratio = variance / stored_variance
    shift = (mean - stored_mean) ** 2 / stored_variance
    return float(np.mean((ratio - 1 - np.log(ratio) + shift) / 2))
