"""A loop that does not end."""

from __future__ import annotations

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import TIME, Attack, Upload
from tests.attacks.making import archive_of, both_phases

ATTACK = Attack("loop for ever", "deadline_exceeded", TIME, ("processor time",), "saved_model")


def make(canaries: Canaries) -> Upload:
    def act(x: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(lambda y: tf.reduce_sum(y) < float("inf"), lambda y: (y * 0.5,), (x,))[0]

    return Upload(archive_of(both_phases(act)), "model.zip")
