"""Code in a Lambda layer, run while the model is built (CVE-2024-3660)."""

from __future__ import annotations

import keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import PLANTS, function, model_of, saved

ATTACK = Attack("create a file from a Lambda layer", "model_unsafe", FILES, ("`sneak`", "lambda"), breaches=True)


def make(canaries: Canaries) -> Upload:
    layer = keras.layers.Lambda(function(PLANTS, canaries), output_shape=(4,), name="sneak")
    return Upload(saved(model_of(layer)))
