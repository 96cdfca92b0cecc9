"""Inside: a guest that gets warm ahead of its job, and waits for it in its cage.

TensorFlow prepares much at its first operations, and pages that came over the fork are copied when they are first
touched. A guest that has diagnosed a small model of its own has that behind it when somebody waits for it. It is
locked in before, it has seen nothing of any stranger's, and like every guest it does one job and ends. What it did
leaves no trace in its report: names are counted anew, generators are put back.
"""

from __future__ import annotations

import collections
import gc
import os
import random
import shutil
from pathlib import Path

import numpy as np

from app.sandbox.device import use_device, use_threads
from app.sandbox.jobfolder import READY
from app.sandbox.protocol import BEGIN
from app.sandbox.room import Room, leave

NAMES = "object_name_uids"
"""Where Keras counts the names that it gives."""

SAMPLES, SIDE, CHANNELS, CLASSES = 16, 8, 3, 2
"""Small enough to take no time, and enough that all stages of a diagnosis run: both kinds of kernels, matrices and
convolutions, come from here.
"""


def wait_warm(room: Room) -> None:
    """Get warm, say so, and return when told to begin; end where nobody will."""
    use_device(None)
    use_threads(room.limits.threads)
    _practise(room.scratch / "practice")
    leave(room, READY, "")
    if os.read(0, 1) != BEGIN:
        os._exit(os.EX_OK)
    os.dup2(1, 0)


def _practise(folder: Path) -> None:
    from keras.src.backend.common import global_state

    import analyzers

    # Not by `keras.utils.clear_session`: it would undo what an operator's own modules have set, too.
    names = dict(global_state.get_global_attribute(NAMES) or {})
    generators = random.getstate(), np.random.get_state()
    folder.mkdir()
    model, batch = _write(folder)
    analyzers.diagnose_files(model, batch, repaired_path=folder / "repaired.keras")
    shutil.rmtree(folder)
    global_state.set_global_attribute(NAMES, collections.defaultdict(int, names))
    random.setstate(generators[0])
    np.random.set_state(generators[1])
    gc.collect()


def _write(folder: Path) -> tuple[Path, Path]:
    """A model whose statistics stand at their start, and a batch."""
    import keras

    inputs = x = keras.layers.Input((SIDE, SIDE, CHANNELS))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(x))
    x = keras.layers.Dense(8)(keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)))
    x = keras.layers.Dropout(0.1)(keras.layers.BatchNormalization()(x))
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(folder / "model.keras")
    values = np.random.default_rng(0).normal(2.0, 3.0, (SAMPLES, SIDE, SIDE, CHANNELS)).astype("float32")
    np.savez(folder / "batch.npz", x=values, y=np.arange(SAMPLES) % CLASSES)
    return folder / "model.keras", folder / "batch.npz"
