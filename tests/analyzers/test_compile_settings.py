"""Compile settings come back as the objects that they were, from every format and from Keras 2."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

from analyzers.evaluation import compiled_from_config
from analyzers.subjects import load_model


def saved(folder: Path, suffix: str, **settings: Any) -> Path:
    inputs = keras.Input((4,))
    heads = [keras.layers.Dense(3, name="a")(inputs), keras.layers.Dense(1, name="b")(inputs)]
    model = keras.Model(inputs, heads)
    model.compile("adam", **settings)
    model.save(folder / f"m.{suffix}")
    return folder / f"m.{suffix}"


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_losses_and_metrics_that_are_objects(suffix: str, tmp_path: Path) -> None:
    loss = {
        "a": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "b": keras.losses.BinaryCrossentropy(label_smoothing=0.25),
    }
    metrics = {"a": ["accuracy"], "b": [keras.metrics.BinaryAccuracy(threshold=0.25)]}
    path = saved(tmp_path, suffix, loss=loss, metrics=metrics, loss_weights={"a": 1.0, "b": 0.5})
    compiled, complaint = compiled_from_config(load_model(path).compile_config, {})
    assert complaint is None
    assert compiled.loss["a"].get_config()["from_logits"] is True
    assert compiled.loss["b"].get_config()["label_smoothing"] == 0.25
    assert compiled.metrics["a"] == ["accuracy"]
    assert compiled.metrics["b"][0].threshold == 0.25
    assert compiled.loss_weights == {"a": 1.0, "b": 0.5}


def test_settings_as_keras_2_wrote_them() -> None:
    loss = {"class_name": "BinaryCrossentropy", "config": {"reduction": "auto", "name": "bce", "from_logits": True}}
    metric = {
        "class_name": "MeanMetricWrapper",
        "config": {"name": "accuracy", "dtype": "float32", "fn": "binary_accuracy"},
    }
    compiled, complaint = compiled_from_config({"loss": loss, "metrics": [[metric]]}, {})
    assert complaint is None
    assert compiled.loss.get_config()["from_logits"] is True
    assert compiled.metrics[0][0].name == "accuracy"
    compiled.metrics[0][0].update_state([1.0, 0.0, 1.0, 1.0], [0.9, 0.2, 0.1, 0.8])
    assert float(compiled.metrics[0][0].result()) == 0.75


def test_what_cannot_be_restored_is_said_and_does_not_stop_the_diagnosis() -> None:
    compiled, complaint = compiled_from_config({"loss": {"class_name": "MyLoss", "config": {}}}, {})
    assert compiled.empty
    assert complaint is not None


@pytest.mark.parametrize(
    "config",
    [
        {"loss": [["accuracy"]]},
        {"loss": {"class_name": "MeanSquaredError", "config": {}}, "loss_weights": "heavy"},
        {"loss": {"a": {"b": 3}}},
        {"loss": "mse", "loss_weights": [[1.0]]},
    ],
)
def test_settings_of_the_wrong_kind_are_said_to_be(config: dict[str, Any]) -> None:
    compiled, complaint = compiled_from_config(config, {})
    assert compiled.empty
    assert complaint is not None


FOREIGN = [
    {
        "module": "subprocess",
        "class_name": "Popen",
        "config": {"args": ["touch", "PLANTED"]},
        "registered_name": "Popen",
    },
    {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
    {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "eval"},
    {"module": "tempfile", "class_name": "TemporaryFile", "config": {}, "registered_name": None},
    {"module": "shutil", "class_name": "function", "config": "rmtree", "registered_name": None},
]


@pytest.mark.parametrize("foreign", FOREIGN, ids=[f"{f['module']}.{f['class_name']}" for f in FOREIGN])
@pytest.mark.parametrize("place", ["loss", "metrics", "weighted_metrics"])
def test_settings_that_name_foreign_modules_run_nothing(place: str, foreign: dict[str, Any], tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    told = json.loads(json.dumps(foreign).replace("PLANTED", str(planted)))
    calls: list[str] = []
    sys.addaudithook(lambda event, _: calls.append(event) if event in ("subprocess.Popen", "os.system") else None)
    compiled, complaint = compiled_from_config({place: told if place == "loss" else [told]}, {})
    assert compiled.empty
    assert complaint is not None
    assert not planted.exists()
    assert calls == []
