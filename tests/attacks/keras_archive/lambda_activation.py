"""A lambda as a layer's activation, which Keras writes without saying what it is."""

from __future__ import annotations

import keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import PLANTS, function, model_of, saved

ATTACK = Attack("create a file from an activation", "model_unsafe", FILES, ("`sneak`", "lambda"), breaches=True)


def make(canaries: Canaries) -> Upload:
    return Upload(saved(model_of(keras.layers.Dense(3, activation=function(PLANTS, canaries), name="sneak"))))
