"""Inference passes in larger batches: the same figures by fewer calls, and only where samples do not see each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from analyzers.batches.spec import Batch
from analyzers.evaluation import Compiled, Evaluator
from analyzers.measuring import measure
from analyzers.observation import MERGED_WINDOWS, Observer, Pass
from analyzers.statistics import relative_difference
from analyzers.subjects.keras_model import KerasSubject
from analyzers.switchboard import Setting

L = keras.layers
SAMPLES, SIZE = 70, 8


def dense() -> keras.Model:
    inputs = L.Input((6,))
    x = L.BatchNormalization()(L.Dense(5, activation="relu")(inputs))
    return keras.Model(inputs, L.Dense(2)(L.Dropout(0.5)(L.BatchNormalization()(x))))


def by_hand() -> keras.Model:
    inputs = L.Input((6,))
    x = L.BatchNormalization()(L.Dense(5)(inputs))
    return keras.Model(inputs, L.Dense(2)(x - keras.ops.mean(x, axis=0, keepdims=True)))


class Noisy(L.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.random.SeedGenerator(1)

    def call(self, x: Any) -> Any:
        return x + keras.random.normal(keras.ops.shape(x), seed=self.generator)


def drawing() -> keras.Model:
    inputs = L.Input((6,))
    return keras.Model(inputs, L.Dense(2)(L.BatchNormalization()(Noisy()(inputs))))


def stateful() -> keras.Model:
    inputs = L.Input(batch_shape=(SIZE, 3, 6))
    return keras.Model(inputs, L.BatchNormalization()(L.LSTM(4, stateful=True)(inputs)))


def observer(build: Callable[[], keras.Model] = dense) -> Observer:
    keras.utils.set_random_seed(1)
    model: Any = build()
    x = np.random.default_rng(1).normal(2.0, 3.0, (SAMPLES, *model.input_shape[1:])).astype("float32")
    return Observer(KerasSubject(model), Batch([x], None, None, ["x"], ["y"]), SIZE, seed=0)


def counted(watched: Observer, run: Callable[[], Any]) -> tuple[Any, list[int]]:
    """What `run` returns, and the size of each batch that went through the model meanwhile."""
    sizes: list[int] = []
    original = watched.board.run
    watched.board.run = lambda inputs, setting: (sizes.append(len(inputs[0])), original(inputs, setting))[1]  # type: ignore[method-assign]
    try:
        return run(), sizes
    finally:
        del watched.board.run


def test_figures_are_the_same_by_fewer_batches() -> None:
    with observer() as watched:
        apart, many = counted(watched, lambda: watched.run(Setting(record=True)))
        watched.merge()
        together, few = counted(watched, lambda: watched.run(Setting(record=True)))
    assert (len(many), few) == (9, [MERGED_WINDOWS * SIZE, SAMPLES - MERGED_WINDOWS * SIZE])
    assert relative_difference(together.outputs[0], apart.outputs[0]) < 1e-6
    for path, calls in apart.seen.items():
        assert np.allclose(together.seen[path][0].mean, calls[0].mean, rtol=1e-5, atol=1e-6)
        assert np.allclose(together.seen[path][0].variance, calls[0].variance, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "setting",
    [Setting(training=True), Setting(batch_statistics=True), Setting(stochastic=True), Setting(augmentation=True)],
)
def test_where_layers_train_batches_stay_as_they_are(setting: Setting) -> None:
    with observer() as watched:
        before, apart = counted(watched, lambda: watched.run(setting))
        watched.merge()
        after, still = counted(watched, lambda: watched.run(setting))
    assert apart == still == [SIZE] * 9
    assert np.array_equal(before.outputs[0], after.outputs[0])


def test_statistics_of_single_batches_are_replayed_in_them() -> None:
    with observer() as watched:
        training: Pass = watched.run(Setting(training=True, stochastic=False))
        watched.merge()
        replayed, sizes = counted(watched, lambda: watched.run(Setting(), like=training))
    assert sizes == [SIZE] * 9
    assert np.array_equal(replayed.outputs[0], training.outputs[0])


@pytest.mark.parametrize(("build", "merged"), [(dense, True), (by_hand, False), (drawing, False), (stateful, False)])
def test_only_samples_that_were_seen_apart_are_put_together(build: Callable[[], keras.Model], merged: bool) -> None:
    with observer(build) as watched:
        evaluator = Evaluator(Compiled(), ["y"], None, None)
        measure(watched, evaluator, None, lambda _: None)
        assert watched.merging is merged


def test_large_samples_stay_apart() -> None:
    with observer() as watched:
        watched.merge()
        watched.batch.x[0] = np.zeros((SAMPLES, 1 << 18), "float32")
        assert max(len(rows) for rows, _ in watched._batches(SAMPLES, Setting())) == SIZE
