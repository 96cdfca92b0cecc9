"""Layers of two families, Keras 3 and Keras 2 (`tf_keras`), asked about in one way: by what they are, not by identity.

The classes of the families have nothing in common but their names. A class counts where it or a base of it has the
name and comes from one of the two packages, so that a stranger's class of the same name does not.
"""

from __future__ import annotations

from typing import Any

PACKAGES = ("keras", "tf_keras")
LEGACY = "tf_keras"

NORMALIZING = ("BatchNormalization", "BatchNormalizationBase")
"""What normalizes by the batch. Keras 2's synchronized and renormalizing layers derive from the second."""


def is_a(thing: Any, *names: str) -> bool:
    """Whether `thing` is an instance of a class of Keras, of either family, that has one of the names."""
    return any(c.__name__ in names and c.__module__.partition(".")[0] in PACKAGES for c in type(thing).__mro__)


def is_model(thing: Any) -> bool:
    """Whether `thing` is a model of either family."""
    return is_a(thing, "Model")


def is_layer(thing: Any) -> bool:
    """Whether `thing` is a layer of either family, models among them."""
    return is_a(thing, "Layer")


def is_legacy(thing: Any) -> bool:
    """Whether a layer or model runs by the code of Keras 2."""
    return any(c.__module__.partition(".")[0] == LEGACY for c in type(thing).__mro__)


def is_own(thing: Any) -> bool:
    """Whether the very class of `thing` is part of Keras, not derived from it elsewhere."""
    return type(thing).__module__.partition(".")[0] in PACKAGES


def takes_training_flag(layer: Any) -> bool:
    """Whether the layer's `call` takes `training`."""
    return bool(getattr(layer, "_call_has_training_arg", False) or getattr(layer, "_expects_training_arg", False))


def path_of(variable: Any) -> str:
    """The name of a variable with those of the layers around it."""
    return str(getattr(variable, "path", None) or variable.name.removesuffix(":0"))


def own_name(variable: Any) -> str:
    """What a layer calls a variable of its own, such as `kernel`."""
    return str(variable.name).rpartition("/")[2].removesuffix(":0")


def own_trainable(layer: Any) -> list[Any]:
    """The variables that a layer itself made for training, frozen or not, those of layers inside apart."""
    return list(getattr(layer, "_trainable_variables", None) or getattr(layer, "_trainable_weights", []))


def own_variables(layer: Any) -> list[Any]:
    """All variables that a layer itself made, those of layers inside apart."""
    others = getattr(layer, "_non_trainable_variables", None) or getattr(layer, "_non_trainable_weights", [])
    return [*own_trainable(layer), *others]


def axis_of(layer: Any) -> int:
    """The axis of the channels of a batch-normalizing layer. Keras 2 keeps a list of them once the layer is built."""
    return int(layer.axis if isinstance(layer.axis, int) else layer.axis[-1])
