"""Passes served from memory give what whole passes give, to the last bit, and cost only what the change reaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from analyzers import attribution
from analyzers.batches.spec import Batch
from analyzers.observation import Observer, Pass
from analyzers.recall import LIMIT_BYTES, Recall, room
from analyzers.subjects.footprint import outputs_bytes
from analyzers.subjects.keras_model import KerasSubject
from analyzers.switchboard import Setting

L = keras.layers


def _branching() -> keras.Model:
    """Branches, a nested model, a sum between layers, dropout, and a layer that is called twice."""
    inputs = L.Input((12, 12, 3))
    x = L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(inputs))
    inner_in = L.Input((12, 12, 8))
    inner = keras.Model(inner_in, L.BatchNormalization()(L.Conv2D(8, 3, padding="same", activation="relu")(inner_in)))
    shared = L.BatchNormalization()
    a, b = shared(inner(x)), shared(L.Dropout(0.5)(x))
    x = L.BatchNormalization()(L.Conv2D(4, 3)(a + b))
    return keras.Model(inputs, L.Dense(2)(L.BatchNormalization()(L.Flatten()(x))))


def _recurrent() -> keras.Model:
    inputs = L.Input((7, 5))
    x = L.BatchNormalization()(inputs)
    x = L.Bidirectional(L.LSTM(6, return_sequences=True))(x)
    x = L.TimeDistributed(L.BatchNormalization())(x)
    x = L.MultiHeadAttention(2, 3)(x, x)
    return keras.Model(inputs, L.Dense(1)(L.BatchNormalization()(L.GlobalAveragePooling1D()(x))))


def _observer(build: Callable[[], keras.Model], samples: int, batch_size: int) -> Observer:
    keras.utils.set_random_seed(3)
    model: Any = build()
    draw = np.random.default_rng(3)
    for variable in model.variables:
        if "moving" in variable.path:
            variable.assign(draw.uniform(0.5, 2.0, variable.shape))
    x = draw.normal(1.0, 2.0, (samples, *model.input_shape[1:])).astype("float32")
    return Observer(KerasSubject(model), Batch([x], None, None, ["x"], ["y"]), batch_size, seed=0)


def _replaced(observer: Observer, training: Pass, memory: Recall | None) -> list[np.ndarray[Any, Any]]:
    order = observer.board.order
    passes = attribution.Replaced(observer, training, order, observer.batch.samples, memory)
    half = len(order) // 2
    return [passes.outputs(count) for count in (half, 1, half + 1, len(order) - 1, half, len(order) - 1)]


@pytest.mark.parametrize("build", [_branching, _recurrent])
@pytest.mark.parametrize(("samples", "batch_size"), [(6, 6), (12, 5)])
def test_served_passes_are_whole_passes(build: Callable[[], keras.Model], samples: int, batch_size: int) -> None:
    with _observer(build, samples, batch_size) as observer:
        training = observer.run(Setting(batch_statistics=True, record=True))
        whole = _replaced(observer, training, None)
        with Recall(observer.subject) as memory:
            served = _replaced(observer, training, memory)
        again = _replaced(observer, training, None)
    for expected, found, after in zip(whole, served, again, strict=True):
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(after, expected)
    assert len({x.tobytes() for x in whole}) > 1, "replacing more layers changes the outputs"


def test_layers_ahead_of_the_change_are_not_run() -> None:
    with _observer(_branching, 6, 6) as observer:
        training = observer.run(Setting(batch_statistics=True, record=True))
        first = observer.subject.model.layers[1]
        ran: list[int] = []
        original = first.call
        object.__setattr__(first, "call", lambda *args, **kwargs: ran.append(1) or original(*args, **kwargs))
        with Recall(observer.subject) as memory:
            _replaced(observer, training, memory)
        assert len(ran) == 1, "six passes, and the first convolution ran in one"
        object.__delattr__(first, "call")


def test_beyond_its_limit_it_forgets_and_passes_are_whole() -> None:
    with _observer(_branching, 6, 6) as observer:
        training = observer.run(Setting(batch_statistics=True, record=True))
        whole = _replaced(observer, training, None)
        with Recall(observer.subject, limit_bytes=10_000) as memory:
            served = _replaced(observer, training, memory)
            assert not any(memory._windows.values())
    for expected, found in zip(whole, served, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_where_memory_is_short_fewer_samples_are_run_at_a_time() -> None:
    with _observer(_branching, 6, 6) as observer:
        observer.merge()
        training = observer.run(Setting(batch_statistics=True, record=True))
        whole = _replaced(observer, training, None)
        observer.memory_bytes = 3 * outputs_bytes(observer.subject.model) * 8 // 3
        limit_bytes = room(observer.memory_bytes)
        with Recall(observer.subject, limit_bytes) as memory:
            served = _replaced(observer, training, memory)
            assert len(memory._windows) == 2, "three samples each"
            assert not memory.is_full
    for expected, found in zip(whole, served, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_what_is_remembered_depends_on_memory_only_below_the_default() -> None:
    assert room(None) == room(4 << 30) == room(64 << 30) == LIMIT_BYTES
    assert room(1 << 30) < LIMIT_BYTES


def test_calls_are_put_back() -> None:
    with _observer(_branching, 6, 6) as observer:
        before = [vars(x).get("call") for _, x in observer.subject.layers]
        with Recall(observer.subject):
            pass
        assert [vars(x).get("call") for _, x in observer.subject.layers] == before
