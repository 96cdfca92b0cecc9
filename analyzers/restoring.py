"""Compile settings out of a file, as the objects that they were: losses and metrics in the words of any Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

LEGACY: dict[str, Callable[[Any], Any]] = {
    "loss": keras.losses.deserialize,
    "metrics": keras.metrics.deserialize,
    "weighted_metrics": keras.metrics.deserialize,
    "loss_weights": keras.saving.deserialize_keras_object,
}
"""Compile settings that figures depend on, and who restores them from an `.h5`."""

RENAMED = {"logcosh": "log_cosh", "cosine_proximity": "cosine_similarity"}
"""Losses and metrics of Keras 2 that have another name now."""


def restored(settings: dict[str, Any]) -> dict[str, Any]:
    """Loss, metrics and loss weights of a file's compile settings, in the forms that `Model.compile` takes.

    Raises whatever Keras raises on settings that it does not know.
    """
    return {name: _restored(settings.get(name), by) for name, by in LEGACY.items()}


def _restored(value: Any, legacy: Callable[[Any], Any]) -> Any:
    """What an `.h5` stores has no module to find a class by, only the kind it is of."""
    if isinstance(value, str):
        return RENAMED.get(value, value)
    if isinstance(value, list):
        return [_restored(v, legacy) for v in value]
    if not isinstance(value, dict):
        return None if value is None else keras.saving.deserialize_keras_object(value)
    if not isinstance(value.get("class_name"), str):
        return {k: _restored(v, legacy) for k, v in value.items()}
    made = dict(value)
    if isinstance(config := value.get("config"), dict):
        made["config"] = config = _of_keras_3(value["class_name"], config)
        if value["class_name"] == "MeanMetricWrapper" and isinstance(config.get("fn"), str):
            return _metric(config)
    return keras.saving.deserialize_keras_object(made) if "module" in value else legacy(made)


def _of_keras_3(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a loss or metric without what Keras 2 alone wrote: a reduction to be chosen, and the name of the
    function behind a class that has a name of its own.
    """
    own = name == "MeanMetricWrapper"
    return {
        k: v for k, v in config.items() if (k, v) != ("reduction", "auto") and (k != "fn" or own or isinstance(v, dict))
    }


def _metric(config: dict[str, Any]) -> Any:
    """A metric of which Keras 2 wrote the name of the function that `accuracy` stood for; Keras 3 leaves it a name."""
    of_function = keras.metrics.get(RENAMED.get(config["fn"], config["fn"]))
    return type(of_function)(**{k: v for k, v in config.items() if k in ("name", "threshold", "k")})
