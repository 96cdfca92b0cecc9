"""No weights at all, and an output of gigabytes."""

from __future__ import annotations

import keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import MEMORY, Attack, Upload
from tests.attacks.making import model_of, saved

ATTACK = Attack("blow an image up to 1.1 GB a sample", "out_of_memory", MEMORY, ("`blow_up`", "36.1 GB"))


def make(canaries: Canaries) -> Upload:
    layers = [
        keras.layers.Reshape((2, 2, 1)),
        keras.layers.UpSampling2D((8_400, 8_400), name="blow_up"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.BatchNormalization(),
    ]
    return Upload(saved(model_of(*layers)))
