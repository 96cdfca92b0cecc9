"""A lambda as a layer's activation."""

from __future__ import annotations

import keras

from tests.attacks.canaries import SECRET_BYTES, Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import PLANTS, function, with_layer

ATTACK = Attack("create a file from an activation", "model_unsafe", FILES, ("`sneak`", "lambda"), breaches=True)


def make(canaries: Canaries) -> Upload:
    activation = keras.saving.serialize_keras_object(function(PLANTS, canaries))
    return Upload(with_layer("Dense", {"units": SECRET_BYTES, "activation": activation}))
