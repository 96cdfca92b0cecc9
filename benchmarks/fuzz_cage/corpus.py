"""Twenty small sound files, models and batches of every format, made by Keras 3, Keras 2 and TensorFlow themselves.

    python -m benchmarks.fuzz_cage.corpus FOLDER

Names say what belongs together: `model-<task>-…` is diagnosed on `batch-<task>-…`. A program of its own, so that who
spoils the files and drives the sandbox needs no TensorFlow.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROWS = 40
SIZE = 20
"""Files in the corpus."""


def make(folder: Path) -> list[Path]:
    """Fill the folder in a process of its own; the files."""
    command = [sys.executable, "-m", "benchmarks.fuzz_cage.corpus", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
    return sorted(path for path in folder.iterdir() if path.is_file())


def _write(folder: Path) -> None:
    import keras
    import numpy as np

    keras.utils.set_random_seed(5)
    draw = np.random.default_rng(5)
    x, y = draw.normal(3, 2, (ROWS, 4)).astype("float32"), np.arange(ROWS) % 3
    image = draw.normal(1, 3, (ROWS, 8, 8, 3)).astype("float32")
    pair = {"x_words": draw.integers(0, 20, (ROWS, 6)), "x_numbers": x}
    _tables(folder, x, y)
    np.savez(folder / "batch-image-a.npz", x=image, y=y)
    np.savez_compressed(folder / "batch-pair-a.npz", y=y, **pair)
    _keras_3(folder, x, y, image, [pair["x_words"], x])
    _keras_2(folder, x, y)


def _tables(folder: Path, x: Any, y: Any) -> None:
    import h5py
    import numpy as np
    import pyarrow
    import pyarrow.parquet

    np.savez(folder / "batch-rows-a.npz", x=x, y=y, sample_weight=np.ones(ROWS, "float32"))
    np.save(folder / "batch-rows-b.npy", x)
    with h5py.File(folder / "batch-rows-c.h5", "w") as file:
        file["x"], file["y"] = x, y
    (folder / "batch-rows-d.json").write_text(json.dumps({"x": x.tolist(), "y": y.tolist()}))
    (folder / "batch-rows-e.json").write_text(json.dumps({"instances": x.tolist()}))
    lines = [",".join([*(f"{value:.4f}" for value in row), str(label)]) for row, label in zip(x, y, strict=True)]
    (folder / "batch-rows-f.csv").write_text("\n".join(["a,b,c,d,y", *lines]))
    columns = {name: x[:, at] for at, name in enumerate("abcd")} | {"y": y}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "batch-rows-g.parquet")


def _keras_3(folder: Path, x: Any, y: Any, image: Any, pair: list[Any]) -> None:
    import keras
    import tensorflow as tf

    layers = keras.layers
    inner = keras.Sequential([layers.Input((6,)), layers.Dense(6), layers.BatchNormalization()], name="inner")
    inputs = layers.Input((4,))
    hidden = layers.Dropout(0.3)(inner(layers.BatchNormalization()(layers.Dense(6)(inputs))))
    rows = _trained(keras.Model(inputs, layers.Dense(3, activation="softmax")(hidden)), x, y)
    rows.save(folder / "model-rows-a.keras")
    rows.save(folder / "model-rows-b.h5")
    rows.save_weights(folder / "model-rows-c.weights.h5")
    archive = keras.export.ExportArchive()
    archive.track(rows)
    spec = [tf.TensorSpec((None, 4), tf.float32, name="x")]
    archive.add_endpoint("serve", lambda t: rows(t, training=False), input_signature=spec)
    archive.add_endpoint("train", lambda t: rows(t, training=True), input_signature=spec)
    archive.write_out(str(folder / "exported"), verbose=False)
    _pack(folder / "exported", folder / "model-rows-d", "zip")
    _image_model(image, y).save(folder / "model-image-a.keras")
    words, numbers = layers.Input((6,), name="words", dtype="int32"), layers.Input((4,), name="numbers")
    recurrent = layers.GRU(5)(layers.Embedding(20, 4)(words))
    both = layers.LayerNormalization()(layers.Concatenate()([recurrent, layers.BatchNormalization()(numbers)]))
    _trained(keras.Model([words, numbers], layers.Dense(3, "softmax")(both)), pair, y).save(
        folder / "model-pair-a.keras"
    )


def _image_model(image: Any, y: Any) -> Any:
    import keras

    layers = keras.layers
    first = [layers.RandomFlip(), layers.Rescaling(0.5), layers.Conv2D(4, 3), layers.BatchNormalization()]
    last = [layers.ReLU(), layers.SpatialDropout2D(0.2), layers.GlobalAveragePooling2D(), layers.Dense(3, "softmax")]
    return _trained(keras.Sequential([layers.Input((8, 8, 3)), *first, *last]), image, y)


def _keras_2(folder: Path, x: Any, y: Any) -> None:
    import tensorflow as tf
    import tf_keras

    layers = tf_keras.layers
    stack = [layers.Dense(5), layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(3, activation="softmax")]
    old = _trained(tf_keras.Sequential([layers.Input((4,)), *stack]), x, y)
    old.save(folder / "model-rows-e.keras")
    old.save(folder / "model-rows-f.h5")
    old.save_weights(folder / "model-rows-g.h5")
    old.save(folder / "saved", save_format="tf")
    _pack(folder / "saved", folder / "model-rows-h", "gztar")
    (folder / "points").mkdir()
    tf.train.Checkpoint(model=old).save(str(folder / "points" / "step"))
    _pack(folder / "points", folder / "model-rows-i", "zip")


def _trained(model: Any, x: Any, y: Any) -> Any:
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=1, batch_size=20, verbose=0)
    return model


def _pack(folder: Path, archive: Path, kind: str) -> None:
    shutil.make_archive(str(archive), kind, folder)
    shutil.rmtree(folder)


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
