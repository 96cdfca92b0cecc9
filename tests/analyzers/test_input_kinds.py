"""Whole diagnoses on batches of every kind: text, identifiers, pictures as bytes, dictionaries, any sample count."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import analyzers
from analyzers.report import Report

SAMPLES = 48
WORDS = ["good", "bad", "film", "plot", "dull", "fine"]


def check(report: Report, name: str) -> Any:
    return {c.name: c for c in report.checks}.get(name)


def sound(report: Report) -> Report:
    """What must hold whatever was sent."""
    assert check(report, "model_unchanged").passed
    assert check(report, "replay_identity").passed
    assert [x.class_name for x in report.layers] == ["BatchNormalization"]
    return report


def head(x: Any) -> Any:
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(6, activation="relu")(x))
    return keras.layers.Dense(1, activation="sigmoid", name="head")(x)


def saved(model: Any, path: Path) -> Path:
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    model.save(path)
    return path


@cache
def reviews() -> list[str]:
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice(WORDS, 5)) for _ in range(SAMPLES)]


def reader() -> Any:
    layer = keras.layers.TextVectorization(max_tokens=20, output_sequence_length=6)
    layer.adapt(reviews())
    return layer


def of_text() -> Any:
    review = keras.Input((1,), dtype="string", name="review")
    x = keras.layers.Embedding(20, 5)(reader()(review))
    return keras.Model(review, head(keras.layers.GlobalAveragePooling1D()(x)))


def of_text_and_numbers() -> Any:
    """A dictionary of four: text, a name to be looked up, an identifier to be looked up, a measured number."""
    review = keras.Input((1,), dtype="string", name="review")
    kind = keras.Input((1,), dtype="string", name="kind")
    code = keras.Input((1,), dtype="int64", name="code")
    price = keras.Input((1,), name="price")
    parts = [
        keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(20, 5)(reader()(review))),
        keras.layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(kind),
        keras.layers.IntegerLookup(vocabulary=[7, 11], output_mode="one_hot")(code),
        keras.layers.CategoryEncoding(4, output_mode="one_hot")(keras.layers.Hashing(4)(kind)),
        price,
    ]
    flat = [keras.layers.Flatten()(keras.ops.cast(part, "float32")) for part in parts]
    inputs = {"review": review, "kind": kind, "code": code, "price": price}
    return keras.Model(inputs, head(keras.layers.Concatenate()(flat)))


def labels() -> np.ndarray:
    return np.array(["good" in text for text in reviews()], dtype="int32")


def columns() -> dict[str, Any]:
    rng = np.random.default_rng(4)
    return {
        "review": reviews(),
        "kind": rng.choice(["a", "b", "c"], SAMPLES).tolist(),
        "code": rng.choice([7, 11, 13], SAMPLES).tolist(),
        "price": rng.normal(5, 2, SAMPLES).round(3).tolist(),
    }


def test_a_model_of_text_runs_through_the_whole_diagnosis(tmp_path: Path) -> None:
    batch = tmp_path / "b.npz"
    np.savez(batch, x=np.array(reviews()), y=labels())
    report = sound(analyzers.diagnose_files(saved(of_text(), tmp_path / "m.keras"), batch))
    (facts,) = report.batch.inputs
    assert (facts.dtype, facts.shape, facts.min, facts.non_finite) == ("string", [SAMPLES, 1], None, 0)
    assert report.phases.inference.loss is not None


def written(folder: Path, suffix: str) -> Path:
    path, values = folder / f"b{suffix}", columns()
    if suffix == ".json":
        rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
        path.write_text(json.dumps({"instances": rows, "y": labels().tolist()}))
    elif suffix == ".csv":
        lines = [",".join(map(str, row)) for row in zip(*values.values(), labels(), strict=True)]
        path.write_text("\n".join([",".join([*values, "y"]), *lines]))
    else:
        np.savez(path, y=labels(), **{f"x_{name}": np.array(v) for name, v in values.items()})
    return path


def test_a_dictionary_of_text_and_numbers_from_any_format(tmp_path: Path) -> None:
    model = saved(of_text_and_numbers(), tmp_path / "m.keras")
    found = [sound(analyzers.diagnose_files(model, written(tmp_path, s))) for s in (".json", ".csv", ".npz")]
    assert [i.name for i in found[0].batch.inputs] == ["code", "kind", "price", "review"]
    losses = [r.phases.inference.loss for r in found]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6) == pytest.approx(losses[2], rel=1e-6)


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
