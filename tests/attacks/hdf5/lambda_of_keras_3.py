"""A Lambda in an `.h5` file by Keras 3 (CVE-2025-9905: safe mode was not looked at for this format)."""

from __future__ import annotations

import keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import PLANTS, function, model_of, saved

ATTACK = Attack("create a file from a Lambda of Keras 3", "model_unsafe", FILES, ("`sneak`", "lambda"), breaches=True)


def make(canaries: Canaries) -> Upload:
    layer = keras.layers.Lambda(function(PLANTS, canaries), output_shape=(4,), name="sneak")
    return Upload(saved(model_of(layer), "h5"), "model.h5")
