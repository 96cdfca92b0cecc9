"""A lambda that only says which shape comes out, and is asked while the model is built."""

from __future__ import annotations

import keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import CALLS, Attack, Upload
from tests.attacks.making import STARTS_A_PROGRAM, function, model_of, saved

ATTACK = Attack("start a program from a Lambda's output_shape", "model_unsafe", CALLS, ("`sneak`",), breaches=True)


def make(canaries: Canaries) -> Upload:
    layer = keras.layers.Lambda(lambda x: x, output_shape=function(STARTS_A_PROGRAM, canaries), name="sneak")
    return Upload(saved(model_of(layer)))
