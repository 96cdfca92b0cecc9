"""What the tests on kinds of batches have in common: small models, texts, and what must hold whatever was sent."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np

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


def labels() -> np.ndarray:
    return np.array(["good" in text for text in reviews()], dtype="int32")
