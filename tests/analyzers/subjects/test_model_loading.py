"""Model files that must load, with what they say about themselves."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from model_files import edited_archive, functional, sequential, trained

from analyzers.errors import ModelUnreadable, UnsupportedModelFormat
from analyzers.subjects import load_model


def test_every_build_and_format_loads_to_the_same_outputs(saved: Path) -> None:
    loaded = load_model(saved)
    theirs = keras.saving.load_model(saved, compile=False)
    if saved.stem == "registered":
        loaded.model(np.zeros((2, 4), dtype="float32"))
    for mine, other in zip(loaded.model.variables, theirs.variables, strict=True):
        assert np.array(mine).tobytes() == np.array(other).tobytes()
    assert loaded.format == saved.suffix[1:]
    assert loaded.keras_version == keras.__version__
    assert loaded.file_name == saved.name
    assert not loaded.model.compiled


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_compile_settings_and_updates_are_read_and_not_run(suffix: str, tmp_path: Path) -> None:
    loaded = load_model(trained(suffix, tmp_path))
    assert loaded.optimizer_iterations == 4
    assert loaded.compile_config is not None
    assert loaded.compile_config["loss"] == "mse"
    assert loaded.compile_config["metrics"] == ["mae"]
    assert loaded.compile_config["optimizer"]["class_name"] == "Adam"
    assert set(loaded.compile_config) == {"optimizer", "loss", "loss_weights", "metrics", "weighted_metrics"}


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_model_that_was_never_compiled(suffix: str, tmp_path: Path) -> None:
    functional().save(tmp_path / f"m.{suffix}")
    loaded = load_model(tmp_path / f"m.{suffix}")
    assert loaded.compile_config is None
    assert loaded.optimizer_iterations is None


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adamw", "nadam", "lion", "ftrl", "loss_scale"])
def test_every_optimizer_keeps_its_count_first(optimizer: str, tmp_path: Path) -> None:
    model = functional()
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    model.compile(scaled if optimizer == "loss_scale" else optimizer, "mse")
    model.fit(np.ones((6, 4)), np.ones((6, 3)), batch_size=2, verbose=0)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        assert load_model(tmp_path / name).optimizer_iterations == 3


@pytest.mark.parametrize(
    "name", ["with space.keras", "_underscore.h5", "größe 模型.keras", "UPPER.KERAS", "m.hdf5", "none"]
)
def test_names_of_files_do_not_matter(name: str, tmp_path: Path) -> None:
    model = sequential()
    model.save(tmp_path / ("m.h5" if "5" in name else "m.keras"))
    path = next(tmp_path.iterdir()).rename(tmp_path / name)
    assert load_model(path).file_name == name


@pytest.mark.parametrize("name", ["_m", "my model", "modèle", "a.b-c"])
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_names_of_models_and_layers_do_not_matter(name: str, suffix: str, tmp_path: Path) -> None:
    inputs = keras.layers.Input((4,), name="in")
    dense = keras.layers.Dense(2, name=f"{name} dense")
    keras.Model(inputs, keras.layers.BatchNormalization(name=f"{name} bn")(dense(inputs)), name=name).save(
        tmp_path / f"m.{suffix}"
    )
    model = load_model(tmp_path / f"m.{suffix}").model
    assert model.name == name
    assert model(np.ones((2, 4), dtype="float32"), training=True).shape == (2, 2)


def test_a_process_that_may_make_no_links_loads_all_the_same(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "symlink_to", refuse)
    assert load_model(plain).file_name == "plain.keras"


def test_another_version_is_reported(plain: Path) -> None:
    path = edited_archive(plain, lambda metadata: metadata.update(keras_version="3.4.1"), "metadata.json")
    assert load_model(path).keras_version == "3.4.1"


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    model = functional()
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "legacy.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file.create_group("dense")
    for name in ("m.weights.h5", "legacy.h5"):
        with pytest.raises(UnsupportedModelFormat, match="only the weights of"):
            load_model(tmp_path / name)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.97])
def test_files_that_are_cut_short(suffix: str, part: float, tmp_path: Path) -> None:
    functional().save(tmp_path / f"m.{suffix}")
    content = (tmp_path / f"m.{suffix}").read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ModelUnreadable) as caught:
        load_model(tmp_path / f"cut.{suffix}")
    assert str(tmp_path) not in str(caught.value)


def test_a_damaged_archive_is_told_from_a_foreign_one(plain: Path) -> None:
    content = bytearray(plain.read_bytes())
    start = content.find(b"\x89HDF")
    content[start + 600 : start + 900] = bytes(300)
    (plain.parent / "bad.keras").write_bytes(bytes(content))
    with pytest.raises(ModelUnreadable):
        load_model(plain.parent / "bad.keras")


def test_a_model_of_keras_2_that_cannot_be_built_names_the_version(plain: Path) -> None:
    old = edited_archive(plain, lambda metadata: metadata.update(keras_version="2.15.0"), "metadata.json")

    def spoil(config: dict) -> None:  # type: ignore[type-arg]
        config["config"]["layers"][1]["config"]["no_such_setting"] = 1

    with pytest.raises(ModelUnreadable, match=r"written by Keras 2\.15\.0") as caught:
        load_model(edited_archive(old.rename(old.with_name("old.keras")), spoil))
    assert "/" not in str(caught.value).replace("weights/", "")
