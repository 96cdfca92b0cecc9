"""An operation that runs Python: it names a function of the process that saved it."""

from __future__ import annotations

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import LIBRARY, Attack, Upload
from tests.attacks.making import archive_of, calling

ATTACK = Attack("run Python from the graph", "model_unsafe", LIBRARY, ("PyFunc",), "saved_model")


def make(canaries: Canaries) -> Upload:
    def act(x: tf.Tensor) -> tf.Tensor:
        return tf.py_function(lambda v: v, [x], tf.float32)

    return Upload(archive_of(calling(act)), "model.zip")
