"""A layer that reads its words from a file of the machine (CVE-2025-12058)."""

from __future__ import annotations

import keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import with_layer

ATTACK = Attack(
    "read a file as the words of TextVectorization", "model_unsafe", FILES, ("`sneak`", "set_vocabulary"), breaches=True
)


def make(canaries: Canaries) -> Upload:
    settings = keras.layers.TextVectorization(name="sneak").get_config() | {"vocabulary": str(canaries.text)}
    return Upload(with_layer("TextVectorization", settings, of="string", features=1))
