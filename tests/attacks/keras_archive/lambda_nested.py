"""A Lambda inside of a wrapper inside of a model, whose output is a file of the machine."""

from __future__ import annotations

import keras

from tests.attacks.canaries import SECRET_BYTES, Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import model_of, saved, telling

ATTACK = Attack(
    "return a file of the machine from a Lambda within a model",
    "model_unsafe",
    FILES,
    ("`inner/sneak`",),
    breaches=True,
)


def make(canaries: Canaries) -> Upload:
    layer = keras.layers.Lambda(telling(canaries), output_shape=(SECRET_BYTES,), name="sneak")
    return Upload(saved(model_of(keras.Sequential([keras.Input((4,)), layer], name="inner"))))
