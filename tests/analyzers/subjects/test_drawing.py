"""Models are loaded without drawing the weights that their files overwrite; what a file leaves out is drawn."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

from analyzers.errors import ModelUnreadable
from analyzers.subjects.drawing import without_drawing
from analyzers.subjects.loading import load_model


@keras.saving.register_keras_serializable(package="specimens")
class Forgetful(keras.layers.Layer):
    """Saves one of its two weights, as layers with an auxiliary table do."""

    def build(self, input_shape: Any) -> None:
        self.kept = self.add_weight(name="kept", shape=(4, 4), initializer="orthogonal")
        self.table = self.add_weight(name="table", shape=(4, 3), initializer="glorot_uniform")

    def call(self, inputs: Any) -> Any:
        return inputs @ self.kept @ self.table

    def save_own_variables(self, store: Any) -> None:
        store["kept"] = self.kept.numpy()

    def load_own_variables(self, store: Any) -> None:
        self.kept.assign(store["kept"])


def _net(family: Any) -> Any:
    layers = family.layers
    return family.Sequential([
        layers.Input((8, 3)), layers.Conv1D(4, 3, kernel_initializer="he_normal"), layers.BatchNormalization(),
        layers.LSTM(5), layers.Dense(2, kernel_initializer="random_uniform"), layers.Dense(2, "tanh", False),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("family", "name"), [(keras, "m.keras"), (keras, "m.h5"), (tf_keras, "m.keras"), (tf_keras, "m.h5")]
)
def test_no_weight_is_drawn_and_each_is_the_file_s(
    tmp_path: Path, family: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = _net(family)
    saved.save(tmp_path / name)

    def draw(*_: Any, **__: Any) -> Any:
        raise AssertionError("drawn")

    for kind in ("VarianceScaling", "Orthogonal", "RandomUniform"):
        monkeypatch.setattr(getattr(family.initializers, kind), "__call__", draw)
    loaded = load_model(tmp_path / name).model
    for stored, found in zip(saved.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(stored.numpy(), found.numpy())


def test_a_weight_that_the_file_leaves_out_is_drawn(tmp_path: Path) -> None:
    saved = keras.Sequential([keras.Input((4,)), Forgetful()])
    saved.save(tmp_path / "m.keras")
    loaded = load_model(tmp_path / "m.keras").model.layers[0]
    np.testing.assert_array_equal(loaded.kept.numpy(), saved.layers[0].kept.numpy())
    assert loaded.table.numpy().all()


def test_the_first_model_is_let_go_before_the_second_is_built() -> None:
    alive: list[int] = []

    class Model:
        variables = (keras.Variable("random_normal", shape=(2, 2)),)

    def build() -> Model:
        gc.collect()
        alive.append(sum(type(thing) is Model for thing in gc.get_objects()))
        Model.variables = (keras.Variable(keras.initializers.RandomNormal(), shape=(2, 2)),)
        return Model()

    without_drawing(build)
    assert alive == [0, 0]


def test_initializers_draw_again_after_a_file_that_cannot_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    _net(keras).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelUnreadable):
        load_model(path)
    for family in (keras, tf_keras):
        for kind in ("Orthogonal", "GlorotUniform", "RandomNormal", "TruncatedNormal", "RandomUniform"):
            assert np.asarray(getattr(family.initializers, kind)()((3, 3))).all()
