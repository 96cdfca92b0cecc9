"""A SavedModel of TensorFlow 1, which names an operation to be run as soon as it is loaded."""

from __future__ import annotations

import tempfile
from pathlib import Path

import tensorflow as tf

from tests.attacks.canaries import Canaries
from tests.attacks.kit import FILES, Attack, Upload
from tests.saved_models import packed

ATTACK = Attack(
    "write a file while being loaded", "model_unreadable", FILES, ("TensorFlow 1",), "saved_model", breaches=True
)


def make(canaries: Canaries) -> Upload:
    v1 = tf.compat.v1
    with tempfile.TemporaryDirectory() as folder, tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 4))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": x * 2})
        builder = v1.saved_model.Builder(f"{folder}/m")
        act = tf.io.write_file(str(canaries.planted), "sung")
        tags = [tf.saved_model.SERVING]
        builder.add_meta_graph_and_variables(session, tags, {"serving_default": signature}, main_op=act)
        builder.save()
        return Upload(packed(Path(folder) / "m", Path(folder) / "m.zip").read_bytes(), "model.zip")
