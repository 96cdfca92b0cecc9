"""Files by Keras 2: run by its own code, measured as Keras 2 itself would, repaired in their own format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tf_keras

import analyzers
from analyzers.errors import ModelNeedsCustomCode, ModelUnsafe
from analyzers.remedies._instance_norm import with_instance_normalization
from analyzers.report import Report
from analyzers.subjects import load_model
from tests.analyzers.subjects.legacy_files import BUILDERS, SAMPLES, trained
from tests.saved_models import packed

FORMATS = ("keras", "h5")


def diagnosed(folder: Path, name: str, suffix: str) -> tuple[Report, Any, dict[str, Any]]:
    """The report on a model that was trained for a few steps, the model, and its batch."""
    model, arrays = trained(name)
    model.save(folder / f"m.{suffix}")
    np.savez(folder / "batch.npz", **arrays)
    report = analyzers.diagnose_files(
        folder / f"m.{suffix}", folder / "batch.npz", batch_size=16, repaired_path=folder / f"repaired.{suffix}"
    )
    return report, model, arrays


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_both_phases_are_those_of_keras_2(name: str, suffix: str, tmp_path: Path) -> None:
    report, model, arrays = diagnosed(tmp_path, name, suffix)
    assert report.model.route == f"tf_keras {tf_keras.__version__}"
    assert report.model.format == suffix
    assert report.model.optimizer_iterations == SAMPLES // 16
    expected = model.evaluate(arrays["x"], arrays["y"], verbose=0, return_dict=True)
    assert report.phases.inference.loss == pytest.approx(expected["loss"], rel=1e-4)
    assert report.phases.inference.metrics["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)
    checks = {c.name: c.passed for c in report.checks}
    assert checks["replay_identity"]
    assert checks["model_unchanged"]
    assert len(report.layers) == len(normalizing(model))


@pytest.mark.parametrize("name", ["convolutional", "renormalizing", "folded", "recurrent"])
def test_the_training_phase_is_what_keras_2_computes(name: str) -> None:
    """One batch in the training phase, random layers apart: the model's own outputs are the oracle."""
    model, arrays = trained(name)
    x, y = arrays["x"][:16], arrays["y"][:16]
    for layer in model._flatten_layers():
        for strength in {"rate", "stddev"} & vars(layer).keys():
            setattr(layer, strength, 0.0)
    report = analyzers.diagnose(model, x, y, batch_size=16)
    own = np.asarray(model(x, training=True))
    loss = float(np.mean(-np.log(own[np.arange(16), y])))
    assert report.phases.training.data_loss == pytest.approx(loss, rel=1e-3)


def test_time_folded_into_the_batch_is_counted_by_sample(tmp_path: Path) -> None:
    """Keras 2 normalizes all steps of all samples together, and has no fault by step."""
    report, _, _ = diagnosed(tmp_path, "folded", "keras")
    assert report.layers[0].calls == 1
    assert "bn_per_timestep" not in {c.code for c in report.causes}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_repaired_file_is_read_by_keras_2_and_differs_in_statistics_alone(suffix: str, tmp_path: Path) -> None:
    report, model, arrays = diagnosed(tmp_path, "deep", suffix)
    assert any(r.repaired_model for r in report.remedies)
    repaired = tf_keras.models.load_model(tmp_path / f"repaired.{suffix}")
    for before, after in zip(model.variables, repaired.variables, strict=True):
        same = np.array_equal(np.array(before), np.array(after))
        assert same != ("moving" in before.name), before.name
    now = repaired.evaluate(arrays["x"], arrays["y"], verbose=0, return_dict=True)
    assert now["loss"] < model.evaluate(arrays["x"], arrays["y"], verbose=0, return_dict=True)["loss"]


def test_the_same_report_twice_with_layers_that_draw(tmp_path: Path) -> None:
    first, _, _ = diagnosed(tmp_path, "convolutional", "keras")
    again = analyzers.diagnose_files(tmp_path / "m.keras", tmp_path / "batch.npz", batch_size=16)
    assert first.phases.training.loss == again.phases.training.loss
    assert first.phases.difference == again.phases.difference


def test_what_keras_3_would_compute_differently_is_said(tmp_path: Path) -> None:
    trained("recurrent")[0].save(tmp_path / "m.h5")
    remark = load_model(tmp_path / "m.h5").remark
    assert remark is not None
    assert "`hard_sigmoid` is 0.2 x + 0.5 in Keras 2" in remark


def edited(path: Path, change: Any) -> Path:
    """The `.h5` file with its configuration changed by `change`."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change({layer["config"]["name"]: layer for layer in config["config"]["layers"]})
        file.attrs["model_config"] = json.dumps(config)
    return path


def test_functions_that_touch_files_are_not_called(tmp_path: Path) -> None:
    trained("functions")[0].save(tmp_path / "m.h5")

    def reading(layers: dict[str, Any]) -> None:
        layers["tf.nn.relu"]["config"]["function"] = "io.read_file"

    with pytest.raises(ModelUnsafe, match=r"`tf\.nn\.relu` calls `io\.read_file` of TensorFlow"):
        load_model(edited(tmp_path / "m.h5", reading))


def test_functions_without_a_name_are_asked_for_by_layer(tmp_path: Path) -> None:
    trained("deep")[0].save(tmp_path / "m.h5")

    def nameless(layers: dict[str, Any]) -> None:
        layers["second"]["config"]["activation"] = "<lambda>"

    with pytest.raises(ModelNeedsCustomCode, match="A function without a name was used in `second`"):
        load_model(edited(tmp_path / "m.h5", nameless))


def test_functions_of_other_packages_are_not_looked_up(tmp_path: Path) -> None:
    trained("deep")[0].save(tmp_path / "m.h5")

    def foreign(layers: dict[str, Any]) -> None:
        layers["second"]["config"]["activation"] = {
            "module": "os", "class_name": "function", "config": "system", "registered_name": "system"
        }  # fmt: skip

    with pytest.raises(ModelNeedsCustomCode, match="`system`"):
        load_model(edited(tmp_path / "m.h5", foreign))


def test_the_code_to_paste_does_what_was_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, _, arrays = diagnosed(tmp_path, "deep", "keras")
    remedy = next(r for r in report.remedies if r.repaired_model)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.keras").rename(tmp_path / "model.keras")
    assert remedy.snippet is not None
    exec(compile(remedy.snippet, "snippet", "exec"), {"x_train": arrays["x"]})
    by_hand = tf_keras.models.load_model(tmp_path / "model_recalibrated.keras")
    repaired = tf_keras.models.load_model(tmp_path / "repaired.keras")
    for a, b in zip(by_hand.variables, repaired.variables, strict=True):
        np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-3, atol=1e-3)


def test_a_model_is_built_anew_with_instance_normalization() -> None:
    model, arrays = trained("convolutional")
    new = with_instance_normalization(model)
    assert not normalizing(new)
    alone = [np.asarray(model(arrays["x"][i : i + 1], training=False)) for i in range(4)]
    assert np.asarray(new(arrays["x"][:4])).shape == np.concatenate(alone).shape
    kinds = [type(layer).__name__ for layer in new._flatten_layers()]
    assert kinds.count("GroupNormalization") == 2


def normalizing(model: Any) -> list[Any]:
    """The layers of a model, nested ones too, that normalize by the batch."""
    return [x for x in model._flatten_layers() if hasattr(x, "moving_variance")]


def test_a_saved_model_with_a_layer_that_was_adapted(tmp_path: Path) -> None:
    """Keras 2 keeps the step that adapted a layer, which takes items of an iterator: nothing that the model calls."""
    model, arrays = trained("deep")
    adapted = tf_keras.layers.Normalization()
    adapted.adapt(arrays["x"])
    whole = tf_keras.Sequential([tf_keras.Input((8,)), adapted, model])
    whole.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    whole.save(tmp_path / "folder", save_format="tf")
    np.savez(tmp_path / "batch.npz", **arrays)
    report = analyzers.diagnose_files(packed(tmp_path / "folder", tmp_path / "m.zip"), tmp_path / "batch.npz")
    assert report.model.format == "saved_model"
    expected = whole.evaluate(arrays["x"], arrays["y"], verbose=0, return_dict=True)
    assert report.phases.inference.loss == pytest.approx(expected["loss"], rel=1e-4)


def test_live_models_of_keras_2_are_diagnosed_too() -> None:
    model, arrays = trained("deep")
    report = analyzers.diagnose(model, arrays["x"], arrays["y"], batch_size=16)
    assert report.primary_cause == "bn_statistics_unconverged"
    assert set(report.phases.inference.metrics) == {"accuracy"}
