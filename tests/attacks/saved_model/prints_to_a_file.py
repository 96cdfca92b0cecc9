"""Printing, whose stream may be any file."""

from __future__ import annotations

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import archive_of, calling

ATTACK = Attack("write a file by printing", "model_unsafe", FILES, ("PrintV2",), "saved_model", breaches=True)


def make(canaries: Canaries) -> Upload:
    def act(x: tf.Tensor) -> tf.Tensor:
        tf.print("sung", output_stream=f"file://{canaries.planted}")
        return x

    return Upload(archive_of(calling(act)), "model.zip")
