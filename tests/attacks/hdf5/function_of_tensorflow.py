"""Keras 2 writes calls of TensorFlow by name; any public function can be named, also one that reads files."""

from __future__ import annotations

import re

import h5py
import tensorflow as tf
import tf_keras

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import hdf5, saved

ATTACK = Attack(
    "read a file through a function of TensorFlow named by Keras 2", "model_unsafe", FILES, ("io.read_file",),
    "tf_keras", breaches=True,
)  # fmt: skip


def make(canaries: Canaries) -> Upload:
    inputs = tf_keras.Input((1,), dtype=tf.string, name="words")
    path = tf.reshape(tf.strings.substr(inputs, 0, 0) + str(canaries.text), [])
    model = tf_keras.Model(inputs, tf.strings.lower(path))

    def change(file: h5py.File) -> None:
        text = file.attrs["model_config"].replace('"strings.lower"', '"io.read_file"')
        file.attrs["model_config"] = re.sub(r'"encoding": "[^"]*", ', "", text)

    return Upload(hdf5(saved(model, "h5"), change), "model.h5")
