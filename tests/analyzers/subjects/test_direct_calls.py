"""Layers called straight away give what Keras' own calls give, to the last bit, and only plain ones are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.models import functional

from analyzers.subjects.direct_calls import DirectCalls

L = keras.layers


class Doubling(L.Layer):
    def call(self, x: Any) -> Any:
        return 2 * x


def _dense() -> keras.Model:
    inputs = L.Input((6,))
    x = L.Dropout(0.5, seed=1)(L.BatchNormalization()(L.Dense(5, activation="relu")(inputs)))
    return keras.Model(inputs, L.Dense(2, activation="softmax")(L.Add()([x, L.Dense(5)(x)]) * 2.0))


def _sequential() -> keras.Model:
    return keras.Sequential([L.Input((8, 8, 3)), L.Conv2D(4, 3), L.BatchNormalization(), L.Flatten(), L.Dense(2)])


def _masked() -> keras.Model:
    inputs = L.Input((7,), dtype="int32")
    x = L.BatchNormalization()(L.Embedding(5, 4, mask_zero=True)(inputs))
    return keras.Model(inputs, L.Dense(2)(L.LSTM(3)(L.Bidirectional(L.LSTM(3, return_sequences=True))(x))))


def _nested() -> keras.Model:
    inner = keras.Sequential([L.Input((4,)), L.Dense(4), L.BatchNormalization()])
    inputs = L.Input((4,))
    return keras.Model(inputs, L.Dense(1)(Doubling()(inner(inner(inputs)))))


def _mixed() -> keras.Model:
    inputs = L.Input((4,))
    x = L.BatchNormalization(dtype="mixed_bfloat16")(L.Dense(4, dtype="mixed_bfloat16")(inputs))
    return keras.Model(inputs, L.Dense(1, activity_regularizer="l2")(L.Rescaling(0.5)(x)))


BUILDS = [_dense, _sequential, _masked, _nested, _mixed]


def _prepared(build: Callable[[], keras.Model]) -> tuple[keras.Model, Any]:
    keras.utils.set_random_seed(2)
    model = build()
    draw = np.random.default_rng(2)
    for variable in model.variables:
        if "moving" in variable.path:
            variable.assign(draw.uniform(0.5, 2.0, variable.shape))
    shape = (9, *model.input_shape[1:])
    return model, draw.integers(0, 5, shape) if build is _masked else draw.normal(size=shape).astype("float32")


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("training", [False, True])
def test_outputs_losses_and_states_are_those_of_the_usual_way(build: Callable[[], keras.Model], training: bool) -> None:
    found = []
    for direct in (False, True):
        model, x = _prepared(build)
        if direct:
            with DirectCalls(model):
                outputs = model(x, training=training)
        else:
            outputs = model(x, training=training)
        found.append([np.asarray(t, "float32") for t in (outputs, *model.losses, *model.variables)])
    assert len(found[0]) == len(found[1])
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(
    ("build", "straight"),
    [
        (_dense, {"dense", "batch_normalization", "dropout", "dense_1", "add", "dense_2"}),
        (_sequential, {"conv2d", "batch_normalization", "flatten", "dense"}),
        (_masked, {"dense"}),  # behind the layer where the mask ends
        (_nested, {"dense", "batch_normalization", "dense_1"}),
        (_mixed, set()),
    ],
)
def test_only_plain_layers_are_called_straight_away(
    build: Callable[[], keras.Model], straight: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keras.backend.clear_session()
    model, x = _prepared(build)
    usual: set[str] = set()
    original = L.Layer.__call__

    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        usual.add(self.name)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(L.Layer, "__call__", watched)
    with DirectCalls(model):
        model(x, training=False)
    inner = [y for x in model.layers for y in getattr(x, "layers", [])]
    names = {x.name for x in [*model.layers, *inner] if not isinstance(x, L.InputLayer)}
    assert straight <= names
    assert not straight & usual
    assert names - straight - usual <= {"rescaling"}


def test_the_way_back_is_the_usual_one_also_after_an_error() -> None:
    model, x = _prepared(_dense)
    before = functional.operation_fn
    with pytest.raises(ValueError, match="shape"), DirectCalls(model):
        model(x[:, :3], training=False)
    assert functional.operation_fn is before
    with DirectCalls(model):
        assert functional.operation_fn is not before
    assert functional.operation_fn is before


def test_other_models_are_called_as_ever_meanwhile() -> None:
    model, _ = _prepared(_dense)
    other, x = _prepared(_sequential)
    expected = np.asarray(other(x))
    with DirectCalls(model):
        assert np.array_equal(np.asarray(other(x)), expected)
