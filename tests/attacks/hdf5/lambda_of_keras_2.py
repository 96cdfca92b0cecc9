"""A Lambda in an `.h5` file by Keras 2, whose code runs it unasked, safe mode or not."""

from __future__ import annotations

import tf_keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import CALLS, Attack, Upload
from tests.attacks.making import CALLS_HOME, function, saved

ATTACK = Attack(
    "connect to a port from a Lambda of Keras 2",
    "model_unsafe",
    CALLS,
    ("`sneak`", "lambda"),
    "tf_keras",
    breaches=True,
)


def make(canaries: Canaries) -> Upload:
    layer = tf_keras.layers.Lambda(function(CALLS_HOME, canaries), name="sneak")
    return Upload(saved(tf_keras.Sequential([tf_keras.Input((4,)), layer]), "h5"), "model.h5")
