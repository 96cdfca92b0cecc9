"""Whole diagnoses on batches of every kind: pictures as bytes, dictionaries, any type of number, any sample count."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import analyzers
from analyzers.errors import AnalysisError
from analyzers.running import explained
from tests.analyzers.small_models import SAMPLES, check, head, labels, saved, sound


def of_pictures(rescaled: bool = True) -> Any:
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Rescaling(1 / 255)(image) if rescaled else image
    return keras.Model(image, head(keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(x))))


def pictures(dtype: str = "uint8", samples: int = SAMPLES) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (samples, 8, 8, 3)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float64", "bool"])
def test_pictures_of_any_type(dtype: str) -> None:
    report = sound(analyzers.diagnose(of_pictures(), pictures(dtype)))
    assert report.batch.inputs[0].dtype == "float32"
    assert check(report, "input_conversion") is None  # whole numbers up to 255 lose nothing


def test_what_a_conversion_costs_is_said() -> None:
    stamps = 1.7e9 + np.random.default_rng(6).normal(0, 20, (SAMPLES, 3))
    inputs = keras.Input((3,), name="table")
    lossy = check(analyzers.diagnose(keras.Model(inputs, head(inputs)), stamps), "input_conversion")
    assert lossy.passed is False
    assert "`table`: float64 to float32" in lossy.detail
    harmless = check(analyzers.diagnose(keras.Model(inputs, head(inputs)), stamps - 1.7e9), "input_conversion")
    assert harmless.passed is True


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_models_that_compute_in_sixteen_bits(policy: str, tmp_path: Path) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        model = saved(of_pictures(), tmp_path / "m.keras")
    finally:
        keras.config.set_dtype_policy("float32")
    np.savez(tmp_path / "b.npz", x=pictures(), y=labels())
    sound(analyzers.diagnose_files(model, tmp_path / "b.npz"))


@pytest.mark.parametrize(("samples", "batch_size"), [(1, None), (3, 32), (37, 16), (33, 32), (40, 7)])
def test_counts_that_do_not_divide(samples: int, batch_size: int | None) -> None:
    y = (np.arange(samples) % 2).astype("int32")
    model = of_pictures()
    model.compile(loss="binary_crossentropy")
    report = sound(analyzers.diagnose(model, pictures(samples=samples), y, batch_size=batch_size))
    expected = model.evaluate(pictures("float32", samples), y, verbose=0)
    assert report.phases.inference.loss == pytest.approx(expected, rel=1e-4)
    assert report.phases.batch_size == min(batch_size or 32, samples)
    assert report.batch.samples == samples


def test_weights_of_samples_count_for_every_output() -> None:
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.BatchNormalization()(keras.layers.Flatten()(image))
    outputs = {"a": keras.layers.Dense(1, name="a")(x), "b": {"c": keras.layers.Dense(2, name="c")(x)}}
    model = keras.Model(image, outputs)
    model.compile(loss={"a": "mse", "b": {"c": "mse"}})
    rng = np.random.default_rng(8)
    weights = rng.integers(0, 3, SAMPLES).astype("float64")
    y = {"a": rng.normal(size=(SAMPLES, 1)), "c": rng.normal(size=(SAMPLES, 2))}
    report = analyzers.diagnose(model, pictures(), y, sample_weight=weights, batch_size=SAMPLES)
    nested = {"a": y["a"], "b": {"c": y["c"]}}
    expected = model.evaluate(pictures("float32"), nested, sample_weight=weights, batch_size=SAMPLES, verbose=0)
    assert report.phases.inference.loss == pytest.approx(np.ravel(expected)[0], rel=1e-4)


class Pair(keras.Model):
    """A subclassed model of a dictionary of two."""

    def __init__(self, arrange: Callable[[Any], Any]) -> None:
        super().__init__()
        self.arrange = arrange
        self.dense, self.norm = keras.layers.Dense(3), keras.layers.BatchNormalization()

    def call(self, inputs: Any, training: Any = None) -> Any:
        left, right = self.arrange(inputs)
        return self.norm(self.dense(keras.ops.concatenate([left, right], axis=-1)), training=training)


@pytest.mark.parametrize("built", [True, False])
def test_subclassed_models_of_a_dictionary(built: bool) -> None:
    rng = np.random.default_rng(9)
    x = {"right": rng.normal(2, 1, (SAMPLES, 3)).astype("float32"), "left": rng.normal(size=(SAMPLES, 2))}
    model = Pair(lambda inputs: (inputs["left"], inputs["right"]))
    if built:
        model(x)
    report = sound(analyzers.diagnose(model, x))
    assert [i.name for i in report.batch.inputs] == ["left", "right"]


def test_subclassed_models_of_a_list() -> None:
    rng = np.random.default_rng(10)
    x = [rng.normal(size=(SAMPLES, 3)).astype("float32"), rng.normal(size=(SAMPLES, 2)).astype("float32")]
    model = Pair(lambda inputs: (inputs[0], inputs[1]))
    model(x)
    sound(analyzers.diagnose(model, x))


def of_nested_dictionaries() -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """A model whose dictionaries have other keys than its layers have names, in another order too; inputs; labels."""
    rng = np.random.default_rng(11)
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    x = keras.layers.BatchNormalization()(keras.layers.Dense(6)(keras.layers.Concatenate()([a, b])))
    chance = keras.layers.Dense(1, activation="sigmoid", name="first")(x)
    kind = keras.layers.Dense(3, activation="softmax", name="second")(x)
    model = keras.Model({"zeta": a, "more": {"left": b}}, {"prob": chance, "kind": {"deep": kind}})
    crossentropies = "binary_crossentropy", "sparse_categorical_crossentropy"
    model.compile(loss={"prob": crossentropies[0], "kind": {"deep": crossentropies[1]}}, metrics={"prob": ["accuracy"]})
    inputs = {"zeta": rng.normal(size=(SAMPLES, 3)), "more": {"left": rng.normal(size=(SAMPLES, 2))}}
    y = {"prob": rng.integers(0, 2, SAMPLES), "kind": {"deep": rng.integers(0, 3, SAMPLES)}}
    return model, {k: v.astype("float32") if k == "zeta" else v for k, v in inputs.items()}, y


def test_dictionaries_of_dictionaries_are_judged_as_keras_judges_them(tmp_path: Path) -> None:
    model, x, y = of_nested_dictionaries()
    expected = model.evaluate(x, y, batch_size=SAMPLES, verbose=0, return_dict=True)
    model.save(tmp_path / "m.keras")
    by_keys = {"x_zeta": x["zeta"], "x_left": x["more"]["left"], "y_prob": y["prob"], "y_deep": y["kind"]["deep"]}
    by_layers = {"x_a": x["zeta"], "x_b": x["more"]["left"], "y_first": y["prob"], "y_second": y["kind"]["deep"]}
    for number, arrays in enumerate((by_keys, by_layers)):
        np.savez(tmp_path / f"{number}.npz", **arrays)
    document = keras.tree.map_structure(lambda array: array.tolist(), {"x": x, "y": y})
    (tmp_path / "2.json").write_text(json.dumps(document))
    for name in ("0.npz", "1.npz", "2.json"):
        figures = sound(analyzers.diagnose_files(tmp_path / "m.keras", tmp_path / name)).phases.inference
        assert figures.loss == pytest.approx(expected["loss"], rel=1e-4)
        assert list(figures.metrics.values()) == [pytest.approx(expected["prob_accuracy"])]
    live = sound(analyzers.diagnose(model, x, y)).phases.inference
    assert live.loss == pytest.approx(expected["loss"], rel=1e-4)


@pytest.mark.parametrize("wrong", [True, 0.5, [1], "yes"])
def test_a_layer_that_cannot_take_its_arguments_is_the_models_fault(wrong: Any, tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    path = saved(keras.Model(inputs, head(inputs)), tmp_path / "m.keras")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    norm = next(x for x in config["config"]["layers"] if x["name"] == "norm")
    norm["inbound_nodes"][0]["kwargs"]["mask"] = wrong
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, "config.json": json.dumps(config).encode()}.items():
            archive.writestr(name, content)
    np.savez(tmp_path / "b.npz", x=np.zeros((8, 4), "float32"))
    with pytest.raises(AnalysisError) as raised:
        analyzers.diagnose_files(path, tmp_path / "b.npz")
    assert raised.value.code in ("batch_mismatch", "model_unreadable")


def test_what_goes_wrong_in_our_own_code_is_not_put_down_to_the_batch() -> None:
    def _batch_normalizing() -> None:
        raise AttributeError("Exception encountered when calling BatchNormalization.call(). 'x' has no attribute 'y'")

    with pytest.raises(AttributeError), explained():
        _batch_normalizing()


@pytest.mark.parametrize("axis", [0, None])
def test_outputs_that_are_not_by_sample_are_named(axis: int | None) -> None:
    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization()(inputs)
    model = keras.Model(inputs, keras.ops.sum(x, axis=axis, keepdims=axis is not None))
    with pytest.raises(AnalysisError, match="1 row for a batch of 7 samples") as raised:
        analyzers.diagnose(model, np.zeros((40, 4), "float32"), batch_size=7)
    assert raised.value.code == "batch_mismatch"
