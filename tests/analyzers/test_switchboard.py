"""The switchboard: any layer in any phase, any statistics anywhere, and no trace left."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from analyzers.batches.spec import Batch
from analyzers.observation import Observer, windows
from analyzers.subjects.keras_model import KerasSubject, State
from analyzers.switchboard import Setting
from tests.specimens import norms, trained


def batch_of(*x: np.ndarray) -> Batch:
    return Batch(list(x), None, None, [f"x{i}" for i in range(len(x))], ["y"])


def images(n: int = 24) -> np.ndarray:
    return np.random.default_rng(0).normal(4, 2, (n, 12, 12, 3)).astype("float32")


def nested() -> tuple[Any, list[np.ndarray]]:
    inner = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(5), keras.layers.BatchNormalization(name="bn")], name="inner"
    )
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    joined = keras.layers.Concatenate()([inner(a), inner(b)])  # the same layers twice
    out = keras.layers.Dense(2)(keras.layers.Dropout(0.5, name="drop")(joined))
    rng = np.random.default_rng(1)
    return keras.Model([a, b], out, name="outer"), [rng.normal(2, 3, (20, 6)).astype("float32") for _ in range(2)]


def half_precision() -> tuple[Any, list[np.ndarray]]:
    dtype = keras.DTypePolicy("mixed_float16")
    layers = [keras.layers.Conv2D(4, 3, dtype=dtype), keras.layers.BatchNormalization(dtype=dtype)]
    return keras.Sequential([keras.Input((12, 12, 3)), *layers, keras.layers.Flatten()]), [images()]


def per_step() -> tuple[Any, list[np.ndarray]]:
    each = keras.layers.TimeDistributed(keras.layers.BatchNormalization(name="norm"), name="each")
    model = keras.Sequential([keras.Input((5, 3)), each, keras.layers.Flatten(), keras.layers.Dense(1)])
    return model, [np.random.default_rng(2).normal(1, 2, (16, 5, 3)).astype("float32")]


def subclass() -> tuple[Any, list[np.ndarray]]:
    class Own(keras.layers.BatchNormalization):
        def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
            return super().call(2.0 * inputs, training=training, mask=mask)

    return keras.Sequential([keras.Input((4,)), Own(name="own"), keras.layers.Dense(1)]), [
        np.random.default_rng(3).normal(1, 2, (16, 4)).astype("float32")
    ]


def plain() -> tuple[Any, list[np.ndarray]]:
    return trained(), [images()]


def stateful() -> tuple[Any, list[np.ndarray]]:
    x = keras.Input(batch_shape=(8, 5, 3))
    hidden = keras.layers.BatchNormalization()(keras.layers.LSTM(4, stateful=True)(x))
    return keras.Model(x, keras.layers.Dense(1)(hidden)), [
        np.random.default_rng(4).normal(size=(16, 5, 3)).astype("f4")
    ]


@keras.saving.register_keras_serializable("tests")
class Shaken(keras.layers.Layer):
    """Draws from generators that are not Keras': TensorFlow's, NumPy's and Python's."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        sign = random.choice((-1.0, 1.0)) * np.random.normal(1.0, 0.1)
        return sign * inputs + tf.random.normal(tf.shape(inputs))


def shaken() -> tuple[Any, list[np.ndarray]]:
    layers = [Shaken(), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    x = np.random.default_rng(3).normal(2, 3, (20, 6)).astype("float32")
    return keras.Sequential([keras.Input((6,)), *layers]), [x]


BUILDERS = [stateful, plain, nested, half_precision, per_step, subclass, shaken]


@pytest.mark.parametrize("build", BUILDERS, ids=lambda f: f.__name__)
def test_replayed_statistics_give_the_training_phase_to_the_last_bit(build: Any) -> None:
    model, x = build()
    with Observer(KerasSubject(model), batch_of(*x), 8, seed=0) as observer:
        training = observer.run(Setting(training=True))
        replayed = observer.run(Setting(training=True, batch_statistics=False), like=training)
    for a, b in zip(training.outputs, replayed.outputs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("build", BUILDERS, ids=lambda f: f.__name__)
def test_everything_is_put_back(build: Any) -> None:
    model, x = build()
    subject = KerasSubject(model)
    calls = [s.layer.call for s in subject.sites]
    momenta = [n.momentum for n in model._flatten_layers() if hasattr(n, "momentum")]
    state = State(subject)
    with Observer(subject, batch_of(*x), 8, seed=0) as observer:
        observer.run(Setting(training=True, record=True))
        observer.with_statistics(observer.calibrate())
    assert state.changed() == []
    assert state.digest() == state.recorded_digest()
    assert [s.layer.call for s in subject.sites] == calls
    assert momenta == [n.momentum for n in model._flatten_layers() if hasattr(n, "momentum")]


def test_generators_of_the_process_go_on_as_if_nothing_had_drawn() -> None:
    model, x = shaken()
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    with Observer(KerasSubject(model), batch_of(*x), 8, seed=0) as observer:
        observer.run(Setting(training=True))
    assert (random.random(), np.random.random()) == expected


def test_random_preprocessing_is_augmentation_whatever_its_name() -> None:
    layers = [keras.layers.Solarization(threshold_factor=0.5), keras.layers.RandomFlip(), keras.layers.Resizing(8, 8)]
    subject = KerasSubject(keras.Sequential([keras.Input((12, 12, 3)), *layers]))
    assert [s.layer for s in subject.of_kind("augmentation")] == layers[:2]


def test_state_is_put_back_when_the_model_fails() -> None:
    model = trained()
    subject = KerasSubject(model)
    state = State(subject)
    with (
        pytest.raises(Exception, match=r"shape|channels|depth"),
        Observer(subject, batch_of(np.zeros((4, 9, 9, 7), "float32")), 4, seed=0) as observer,
    ):
        observer.run(Setting(training=True))
    assert state.changed() == []
    assert "call" not in vars(subject.sites[0].layer)


def test_carried_states_start_every_pass_where_they_were() -> None:
    model, x = stateful()
    with Observer(KerasSubject(model), batch_of(*x), 8, seed=0) as observer:
        first, second = (observer.run(Setting()).outputs[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.any(np.array(model.layers[1].states[0]))


def test_plain_phases_are_those_of_keras() -> None:
    model, x = trained(), images(16)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    with Observer(KerasSubject(model), batch_of(x), 16, seed=0) as observer:
        inference, training = observer.run(Setting()), observer.run(Setting(training=True))
    np.testing.assert_array_equal(inference.outputs[0], np.array(twin(x, training=False)))
    np.testing.assert_array_equal(training.outputs[0], np.array(twin(x, training=True)))


def test_records_what_the_first_layer_saw() -> None:
    model, x = trained(), images(16)
    seen = np.array(model.layers[0](x)).astype(np.float64)
    with Observer(KerasSubject(model), batch_of(x), 16, seed=0) as observer:
        run = observer.run(Setting(training=True, record=True))
    moments = run.seen["net/norm_0"][0]
    np.testing.assert_allclose(moments.mean, seen.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moments.variance, seen.var(axis=(1, 2)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        run.calls[0]["net/norm_0"][0].applied[0], seen.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-5
    )


def test_single_switches() -> None:
    model, x = nested()
    with Observer(KerasSubject(model), batch_of(*x), 20, seed=0) as observer:
        inference = observer.run(Setting()).outputs[0]
        training = observer.run(Setting(training=True)).outputs[0]
        both_off = observer.run(Setting(training=True, batch_statistics=False, stochastic=False)).outputs[0]
        both_on = observer.run(Setting(training=False, batch_statistics=True, stochastic=True)).outputs[0]
        only_dropout = observer.run(Setting(stochastic=True)).outputs[0]
    np.testing.assert_array_equal(both_off, inference)
    np.testing.assert_array_equal(both_on, training)
    assert not np.allclose(only_dropout, inference)
    assert not np.allclose(only_dropout, training)


def test_shared_layers_have_one_path_and_two_calls() -> None:
    model, x = nested()
    with Observer(KerasSubject(model), batch_of(*x), 20, seed=0) as observer:
        run = observer.run(Setting(training=True, record=True))
    assert list(run.seen) == ["outer/inner/bn"]
    assert len(run.seen["outer/inner/bn"]) == 2


def test_frozen_layers_keep_their_stored_statistics() -> None:
    model = keras.models.clone_model(trained())
    model.set_weights(trained().get_weights())
    for norm in norms(model):
        norm.trainable = False
    with Observer(KerasSubject(model), batch_of(images()), 8, seed=0) as observer:
        inference, training = observer.run(Setting()), observer.run(Setting(training=True))
        assert observer.calibrate() == {}
    np.testing.assert_array_equal(inference.outputs[0], training.outputs[0])


def test_calibration_is_one_pass_at_momentum_zero() -> None:
    model, x = trained(), images(40)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    for norm in norms(twin):
        norm.momentum = 0.0
    twin(x, training=True)
    with Observer(KerasSubject(model), batch_of(x), 8, seed=0) as observer:
        constants = observer.calibrate()
    for norm in norms(twin):
        np.testing.assert_array_equal(constants[f"net/{norm.name}"][0], np.array(norm.moving_mean))
        np.testing.assert_array_equal(constants[f"net/{norm.name}"][1], np.array(norm.moving_variance))


@pytest.mark.parametrize(("samples", "size"), [(1, 32), (32, 32), (33, 32), (100, 7), (3, 3), (10, 1)])
def test_windows_cover_each_sample_once_in_full_batches(samples: int, size: int) -> None:
    kept = np.concatenate([rows[keep] for rows, keep in windows(samples, size)])
    np.testing.assert_array_equal(kept, np.arange(samples))
    assert {len(rows) for rows, _ in windows(samples, size)} == {min(size, samples)}
