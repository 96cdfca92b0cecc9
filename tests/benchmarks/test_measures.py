"""The rulers of the benchmarks measure what they say."""

from __future__ import annotations

import time
from pathlib import Path

import keras
import numpy as np

from benchmarks import peak_memory, small_jobs, upload
from benchmarks.observation_cost import by_turns


def test_the_least_memory_is_counted_by_hand() -> None:
    inputs = keras.layers.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(2)(inputs)))
    weights, outputs = (4 * 2 + 2) + (2 * 3 + 3), 5 * (4 + 2 + 3)
    x = np.zeros((5, 4), "float32")
    assert peak_memory.least(model, x) == 4 * (weights + outputs) + x.nbytes


def test_turns_are_medians_of_each() -> None:
    quick, slow = by_turns([lambda: None, lambda: time.sleep(0.05)], 3)
    assert quick < 0.01 < 0.05 <= slow < 0.2


def test_the_sink_takes_a_form_whole(tmp_path: Path) -> None:
    model, batch = tmp_path / "model.keras", tmp_path / "batch.npz"
    upload.write(model, 3)
    upload.write(batch, 0)
    sink = upload.Sink(tmp_path)
    assert min(upload.send(sink.url, model, batch) for _ in range(2)) > 0
    for number in range(2):
        assert model.read_bytes() in (tmp_path / f"sunk-{number}").read_bytes()


def test_the_small_model_is_what_is_said_of_it(tmp_path: Path) -> None:
    model, batch = small_jobs.write(tmp_path)
    norms = [x for x in keras.saving.load_model(model).layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(norms) == 3
    with np.load(batch) as arrays:
        assert len(arrays["x"]) == len(arrays["y"]) == 256
