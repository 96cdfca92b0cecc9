"""Whole diagnoses on text and identifiers: from every format, through every probe, by Keras 3 and Keras 2."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow as tf
import tf_keras

import analyzers
from analyzers.errors import BatchMismatch
from tests.analyzers.small_models import SAMPLES, WORDS, head, labels, reviews, saved, sound


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
    elif suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.table({**values, "y": labels()}), path)
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["y"] = labels()
            for name, v in values.items():
                file.create_dataset(f"x_{name}", data=v, dtype=h5py.string_dtype() if isinstance(v[0], str) else None)
    else:
        np.savez(path, y=labels(), **{f"x_{name}": np.array(v) for name, v in values.items()})
    return path


def test_a_dictionary_of_text_and_numbers_from_any_format(tmp_path: Path) -> None:
    model = saved(of_text_and_numbers(), tmp_path / "m.keras")
    suffixes = (".json", ".csv", ".npz", ".h5", ".parquet")
    found = [sound(analyzers.diagnose_files(model, written(tmp_path, suffix))) for suffix in suffixes]
    assert [i.name for i in found[0].batch.inputs] == ["code", "kind", "price", "review"]
    assert len({(r.phases.inference.loss, r.verdict, r.primary_cause) for r in found}) == 1


def test_labels_beside_the_wrong_texts_are_found(tmp_path: Path) -> None:
    """Probes that compare inputs compare texts by their words; those that scale inputs leave text alone."""
    rng = np.random.default_rng(12)
    texts = np.array([" ".join(rng.choice(WORDS[2:] + [WORDS[i % 2]] * 4, 6)) for i in range(128)])
    y = np.array([float("good" in text) for text in texts])
    keras.utils.set_random_seed(1)
    vectors = keras.layers.TextVectorization(max_tokens=20, output_mode="multi_hot", vocabulary=WORDS)
    review = keras.Input((), dtype="string", name="review")
    model = keras.Model(review, head(vectors(review)))
    model.compile(keras.optimizers.Adam(0.05), loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(tf.constant(texts), y, epochs=15, batch_size=32, verbose=0)
    model.save(tmp_path / "m.keras")
    for name, sent in (("right", y), ("mixed", rng.permutation(y))):
        np.savez(tmp_path / f"{name}.npz", x=texts, y=sent)
    found = {
        n: sound(analyzers.diagnose_files(tmp_path / "m.keras", tmp_path / f"{n}.npz")) for n in ("right", "mixed")
    }
    assert found["mixed"].primary_cause == "labels_misaligned"
    assert found["right"].primary_cause != "labels_misaligned"


def test_text_models_of_keras_2(tmp_path: Path) -> None:
    """Their vocabularies stand among the variables."""
    layer = tf_keras.layers.TextVectorization(max_tokens=20, output_sequence_length=6)
    layer.adapt(reviews())
    review = tf_keras.Input((1,), dtype="string", name="review")
    x = tf_keras.layers.GlobalAveragePooling1D()(tf_keras.layers.Embedding(20, 5)(layer(review)))
    outputs = tf_keras.layers.Dense(1, activation="sigmoid")(tf_keras.layers.BatchNormalization()(x))
    model = tf_keras.Model(review, outputs)
    model.compile(loss="binary_crossentropy")
    np.savez(tmp_path / "b.npz", x=np.array(reviews()), y=labels())
    model.save(tmp_path / "m.keras")
    report = sound(analyzers.diagnose_files(tmp_path / "m.keras", tmp_path / "b.npz"))
    expected = model.evaluate(tf.constant(reviews()), labels(), batch_size=SAMPLES, verbose=0)
    assert report.phases.inference.loss == pytest.approx(expected, rel=1e-4)


def embedding() -> Any:
    return keras.layers.Embedding(20, 5)


@pytest.mark.parametrize(
    ("layer", "dtype", "values", "complaint"),
    [
        (embedding, "int32", [3, 23], "was given 23 and knows 0 to 19"),
        (
            lambda: keras.layers.StringLookup(vocabulary=["a", "b"], num_oov_indices=0, output_mode="one_hot"),
            "string",
            ["a", "c"],
            'not in its vocabulary: "c"',
        ),
        (
            lambda: keras.layers.IntegerLookup(vocabulary=[7, 11], num_oov_indices=0, output_mode="one_hot"),
            "int64",
            [7, 13],
            "not in its vocabulary: 13",
        ),
        (
            lambda: keras.Sequential([keras.layers.TextVectorization(20, output_sequence_length=6), embedding()]),
            "string",
            ["a"],
            "has no vocabulary",
        ),
    ],
)
def test_values_that_a_layer_does_not_know_are_named(
    layer: Callable[[], Any], dtype: str, values: list[Any], complaint: str
) -> None:
    inputs = keras.Input((1,), dtype=dtype, name="code")
    model = keras.Model(inputs, head(keras.layers.Flatten()(layer()(inputs))))
    with pytest.raises(BatchMismatch, match=complaint) as caught:
        analyzers.diagnose(model, np.array(values * 8))
    assert re.search("Send|Give it one", str(caught.value))
    assert "{{" not in str(caught.value)
