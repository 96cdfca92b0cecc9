"""An operation that writes a file, inside of a loop."""

from __future__ import annotations

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import archive_of, calling

ATTACK = Attack(
    "write a file from inside a loop", "model_unsafe", FILES, ("`WriteFile`",), "saved_model", breaches=True
)


def make(canaries: Canaries) -> Upload:
    def act(x: tf.Tensor) -> tf.Tensor:
        def body(i: tf.Tensor) -> tuple[tf.Tensor]:
            tf.io.write_file(str(canaries.planted), "sung")
            return (i + 1,)

        return x + tf.cast(tf.while_loop(lambda i: i < 2, body, (tf.constant(0),))[0], tf.float32)

    return Upload(archive_of(calling(act)), "model.zip")
