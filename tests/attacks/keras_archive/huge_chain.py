"""Layers of modest sizes that multiply: none of them looks absurd by itself."""

from __future__ import annotations

import keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import MEMORY, Attack, Upload
from tests.attacks.making import edited, model_of, saved

ATTACK = Attack(
    "have 1.2 GB of weights made by layers of 17,000 units", "out_of_memory", MEMORY, ("`wide_1`", "1.16 GB")
)


def make(canaries: Canaries) -> Upload:
    content = saved(model_of(*(keras.layers.Dense(3, name=f"wide_{i}") for i in range(2))))

    def change(config: dict[str, object]) -> None:
        for layer in config["config"]["layers"]:
            layer["config"] |= {"units": 17_000} if "units" in layer["config"] else {}
        layers = config["config"]["layers"]
        layers[-1].pop("build_config", None)

    return Upload(edited(change, content))
