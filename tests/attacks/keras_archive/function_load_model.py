"""A function that loads other files, named where a Dense layer names its activation."""

from __future__ import annotations

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import with_layer

ATTACK = Attack("load another model through an activation", "model_unsafe", LIBRARY, ("keras.saving", "`sneak`"))


def make(canaries: Canaries) -> Upload:
    activation = {
        "module": "keras.saving", "class_name": "function", "config": "load_model", "registered_name": "load_model",
    }  # fmt: skip
    return Upload(with_layer("Dense", {"units": 3, "activation": activation}))
