"""A loop whose tensor grows with every turn."""

from __future__ import annotations

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import MEMORY, Attack, Upload
from tests.attacks.making import FEATURES, archive_of, both_phases

ATTACK = Attack("take memory in a loop", "out_of_memory", MEMORY, ("fewer samples",), "saved_model")


GROWTH_ROWS = 1 << 22
"""64 MiB a turn."""


def make(canaries: Canaries) -> Upload:
    def act(x: tf.Tensor) -> tf.Tensor:
        more = tf.ones((GROWTH_ROWS, FEATURES))
        shape = (tf.TensorShape((None, FEATURES)),)
        grown = tf.while_loop(lambda y: True, lambda y: (tf.concat([y, more], 0),), (x,), shape_invariants=shape)
        return x + tf.reduce_sum(grown[0])

    return Upload(archive_of(both_phases(act)), "model.zip")
