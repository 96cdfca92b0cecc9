"""The operation by which models save themselves, called by the model."""

from __future__ import annotations

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import archive_of, calling

ATTACK = Attack("write a checkpoint anywhere", "model_unsafe", FILES, ("`SaveV2`",), "saved_model", breaches=True)


def make(canaries: Canaries) -> Upload:
    def act(x: tf.Tensor) -> tf.Tensor:
        saved = tf.raw_ops.SaveV2(prefix=str(canaries.planted), tensor_names=["a"], shape_and_slices=[""], tensors=[x])
        with tf.control_dependencies([saved]):
            return tf.identity(x)

    return Upload(archive_of(calling(act)), "model.zip")
