"""What must pass although it looks like an attack: odd names, words that are given, empty weights, deep models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from analyzers.subjects import load_model
from tests.attacks.making import FEATURES, model_of

L = keras.layers


def named(*names: str) -> Any:
    inputs = x = keras.Input((FEATURES,), name="ein gang")
    for name in names:
        x = L.BatchNormalization(name=name)(L.Dense(5)(x))
    return keras.Model(inputs, x)


def words(layer: Any, **how: Any) -> Any:
    inputs = keras.Input((1,), dtype="string")
    return keras.Model(
        inputs, layer(vocabulary=["Lambda", "../up", "/etc/passwd", "https://example.org"], **how)(inputs)
    )


def nested(depth: int) -> Any:
    model = model_of(L.Dense(FEATURES))
    for level in range(depth):
        model = keras.Sequential([keras.Input((FEATURES,)), model], name=f"level_{level}")
    return model


def compiled(**settings: Any) -> Any:
    model = model_of(L.Dense(3), L.BatchNormalization())
    model.compile("sgd", **settings)
    return model


def shared_activation() -> Any:
    return model_of(L.Dense(3, activation=keras.activations.gelu), L.Activation(keras.ops.relu), L.LeakyReLU())


def adapted() -> Any:
    layer = L.Normalization()
    layer.adapt(np.ones((8, FEATURES)))
    return model_of(layer, L.Dense(2))


MODELS: dict[str, Callable[[], Any]] = {
    "names_with_spaces": lambda: named("first norm", "second  norm"),
    "names_beyond_ascii": lambda: named("größe", "层", "ñ"),
    "leading_underscore": lambda: named("_norm", "__norm__"),
    "dots_in_names": lambda: named("norm..v2", "...", "v1.2"),
    "layers_named_lambda": lambda: named("Lambda_1", "lambda", "__lambda"),
    "layers_named_as_functions": lambda: named("get_file", "load_model", "eval", "TFSMLayer"),
    "long_names": lambda: named("n" * 250),
    "words_as_a_list": lambda: words(L.StringLookup, output_mode="one_hot"),
    "texts_with_a_list": lambda: words(L.TextVectorization, output_mode="multi_hot"),
    "nested_ten_deep": lambda: nested(10),
    "sixty_layers": lambda: model_of(*(L.Dense(3) for _ in range(60))),
    "zeros_only": lambda: model_of(L.Dense(2000, kernel_initializer="zeros")),
    "wide_embedding": lambda: keras.Sequential([keras.Input((3,)), L.Embedding(100_000, 4)]),
    "compiled_by_short_names": lambda: compiled(loss="mse", metrics=["mae", "acc"]),
    "compiled_by_objects": lambda: compiled(loss=keras.losses.Huber(), metrics=[keras.metrics.R2Score()]),
    "functions_of_keras": shared_activation,
    "adapted": adapted,
}
NOT_IN_H5 = ("dots_in_names",)
"""HDF5 takes "..." for a way through groups, and Keras cannot write it."""

CASES = [(name, suffix) for name in MODELS for suffix in ("keras", "h5") if suffix == "keras" or name not in NOT_IN_H5]


@pytest.mark.parametrize(("name", "suffix"), CASES, ids=[".".join(case) for case in CASES])
def test_it_is_loaded_as_it_was_saved(name: str, suffix: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    model.save(tmp_path / f"m.{suffix}")
    loaded = load_model(tmp_path / f"m.{suffix}", memory_bytes=1_000_000_000).model
    assert len(loaded.weights) == len(model.weights)
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
