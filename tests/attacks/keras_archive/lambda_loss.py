"""A lambda that the model was compiled with."""

from __future__ import annotations

import keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import CALLS, Attack, Upload
from tests.attacks.making import CALLS_HOME, function, model_of, saved

ATTACK = Attack("connect to a port from a loss", "model_unsafe", CALLS, ("compiled with", "lambda"), breaches=True)


def make(canaries: Canaries) -> Upload:
    model = model_of(keras.layers.Dense(2))
    model.compile("sgd", loss=function(CALLS_HOME, canaries, "truth, x"))
    return Upload(saved(model))
