"""A table that is filled from a file before anything is called."""

from __future__ import annotations

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.attacks.making import FEATURES, archive_of, with_asset

ATTACK = Attack("read a file while being loaded", "model_unsafe", FILES, ("outside",), "saved_model", breaches=True)


class Table(tf.Module):
    """Its asset is replaced by one that lies elsewhere."""

    def __init__(self, path: str) -> None:
        super().__init__()
        index, line = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
        words = tf.lookup.TextFileInitializer(path, tf.int64, index, tf.string, line)
        self.table = tf.lookup.StaticHashTable(words, "")

    @tf.function(input_signature=[tf.TensorSpec((None, FEATURES), tf.float32)])
    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return self.table.lookup(tf.zeros((1,), tf.int64))


def make(canaries: Canaries) -> Upload:
    return Upload(with_asset(archive_of(Table(str(canaries.text))), str(canaries.text)), "model.zip")
