"""Small models of every build, saved by Keras itself, and the tools to spoil their files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from analyzers.errors import AnalysisError
from analyzers.subjects import load_model

L = keras.layers


@keras.saving.register_keras_serializable(package="specimens")
class Block(keras.Model):
    """A subclass whose code this process knows."""

    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.dense = L.Dense(units)
        self.norm = L.BatchNormalization()

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.dense.build(input_shape)
        self.norm.build((*input_shape[:-1], self.units))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.norm(self.dense(inputs), training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def functional() -> keras.Model:
    inputs = L.Input((4,), name="table")
    return keras.Model(inputs, L.Dense(3)(L.BatchNormalization()(L.Dense(5)(inputs))))


def sequential() -> keras.Model:
    return keras.Sequential([L.Input((4,)), L.Dense(5), L.BatchNormalization(), L.Dense(3)])


def nested() -> keras.Model:
    inner = keras.Sequential([L.Input((5,)), L.Dense(5), L.BatchNormalization(name="inner_bn")], name="inner")
    inputs = L.Input((4,))
    return keras.Model(inputs, L.Dense(3)(inner(L.BatchNormalization()(L.Dense(5)(inputs)))))


def shared() -> keras.Model:
    inputs, norm = L.Input((4,)), L.BatchNormalization()
    return keras.Model(inputs, L.Dense(3)(norm(L.Dense(4)(norm(inputs)))))


def several() -> keras.Model:
    first, second = L.Input((4,), name="a"), L.Input((2,), name="b")
    both = L.BatchNormalization()(L.Concatenate()([first, second]))
    return keras.Model([first, second], [L.Dense(3, name="p")(both), L.Dense(1, name="q")(both)])


def mixed_precision() -> keras.Model:
    inputs = L.Input((4,))
    dense = L.Dense(5, dtype="mixed_float16")(inputs)
    return keras.Model(inputs, L.Dense(3)(L.BatchNormalization(dtype="mixed_float16")(dense)))


def brain_float() -> keras.Model:
    return keras.Sequential([L.Input((4,)), L.Dense(5), L.BatchNormalization(dtype="bfloat16"), L.Dense(3)])


def registered() -> keras.Model:
    model = Block()
    model(np.zeros((2, 4), dtype="float32"))
    return model


BUILDS: dict[str, Callable[[], keras.Model]] = {
    build.__name__: build
    for build in (functional, sequential, nested, shared, several, mixed_precision, brain_float, registered)
}


def disturb(model: keras.Model) -> None:
    """Give every variable its own values, so that no two datasets of a file are alike."""
    draw = np.random.default_rng(7)
    for variable in model.variables:
        if "float" in str(variable.dtype):
            variable.assign(draw.uniform(0.5, 1.5, variable.shape).astype("float32"))


def trained(suffix: str, folder: Path) -> Path:
    """A compiled model after four updates."""
    model = functional()
    model.compile("adam", "mse", metrics=["mae"])
    draw = np.random.default_rng(1)
    model.fit(draw.normal(size=(16, 4)), draw.normal(size=(16, 3)), batch_size=8, epochs=2, verbose=0)
    model.save(folder / f"trained.{suffix}")
    return folder / f"trained.{suffix}"


def edited_archive(source: Path, change: Callable[[dict[str, Any]], None], name: str = "config.json") -> Path:
    """A copy of a `.keras` file with another configuration."""
    path = source.with_name("edited.keras")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == name:
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            new.writestr(info.filename, content)
    return path


def refused(path: Path, kind: type[AnalysisError], *words: str) -> None:
    with pytest.raises(kind) as caught:
        load_model(path)
    text = str(caught.value)
    assert [word for word in words if word not in text] == []
    assert str(path.parent) not in text
    assert "Traceback" not in text
