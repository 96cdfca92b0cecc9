"""A layer that opens a SavedModel folder of the machine (CVE-2026-1462)."""

from __future__ import annotations

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import calling, with_layer

ATTACK = Attack(
    "open a SavedModel folder of the machine", "model_unsafe", FILES, ("`sneak`", "SavedModel"), breaches=True
)


def make(canaries: Canaries) -> Upload:
    folder = canaries.folder / "served"
    if not folder.exists():

        def act(x: tf.Tensor) -> tf.Tensor:
            tf.io.write_file(str(canaries.planted), "sung")
            return x

        served = calling(act)
        tf.saved_model.save(served, str(folder), signatures={"serve": served.__call__})
    settings = {"filepath": str(folder), "call_endpoint": "serve", "call_training_endpoint": None}
    return Upload(with_layer("TFSMLayer", settings))
