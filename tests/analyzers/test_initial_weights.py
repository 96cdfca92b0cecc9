"""Untouched weights are known, all or some of them, and trained ones are never taken for untouched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from analyzers.probes import initial_weights
from analyzers.probes.initializers import look
from analyzers.subjects.keras_model import KerasSubject
from analyzers.symptoms import WeightFacts

layers, initializers = keras.layers, keras.initializers
STEPS, BATCH = 4, 16


def facts(model: Any) -> WeightFacts:
    return initial_weights.facts(KerasSubject(model))


def convolutional(**options: Any) -> Any:
    stack: list[Any] = [keras.Input((8, 8, 3))]
    for i, width in enumerate((8, 16)):
        stack += [layers.Conv2D(width, 3, name=f"conv_{i}", **options), layers.BatchNormalization(name=f"norm_{i}")]
        stack.append(layers.ReLU())
    return keras.Sequential(
        [*stack, layers.GlobalAveragePooling2D(), layers.Dense(3, "softmax", name="head")], name="net"
    )


def depthwise() -> Any:
    stack = [keras.Input((8, 8, 3)), layers.SeparableConv2D(8, 3), layers.DepthwiseConv2D(3, use_bias=False)]
    stack += [layers.GroupNormalization(4), layers.PReLU(), layers.GlobalAveragePooling2D()]
    return keras.Sequential([*stack, layers.Dense(3, "softmax", name="head")], name="net")


def recurrent() -> Any:
    stack = [keras.Input((6,)), layers.Embedding(40, 12, name="tokens"), layers.Bidirectional(layers.LSTM(8))]
    return keras.Sequential([*stack, layers.Dense(3, "softmax", name="head")], name="net")


def attentive() -> Any:
    x = keras.Input((6, 5))
    wide = layers.Dense(16)(x)
    attended = layers.MultiHeadAttention(2, 8, name="attention")(wide, wide)
    pooled = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(layers.Add()([wide, attended])))
    return keras.Model(x, layers.Dense(3, "softmax", name="head")(pooled), name="net")


def plain(kernel: Any = "glorot_uniform", bias: bool = True) -> Any:
    stack: list[Any] = [keras.Input((10,))]
    for i, width in enumerate((48, 32)):
        stack.append(layers.Dense(width, "relu", bias, kernel, name=f"dense_{i}"))
    return keras.Sequential([*stack, layers.Dense(3, "softmax", name="head")], name="net")


NETS: dict[str, Callable[[], Any]] = {
    "convolutions": convolutional,
    "convolutions without bias": lambda: convolutional(use_bias=False, kernel_initializer="he_normal"),
    "orthogonal convolutions": lambda: convolutional(use_bias=False, kernel_initializer="orthogonal"),
    "depthwise": depthwise,
    "recurrent": recurrent,
    "attentive": attentive,
    "dense": plain,
    "dense without bias": lambda: plain(bias=False),
    "lecun_normal": lambda: plain("lecun_normal"),
    "untruncated normal": lambda: plain(initializers.RandomNormal(stddev=0.1)),
    "truncated normal": lambda: plain(initializers.TruncatedNormal(stddev=0.1)),
}


def train(model: Any, optimizer: Any, steps: int = STEPS) -> Any:
    rng = np.random.default_rng(0)
    shape = model.input_shape[1:]
    count = steps * BATCH
    x = rng.integers(0, 40, (count, *shape)) if model.layers[0].name == "tokens" else rng.normal(size=(count, *shape))
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(x, rng.integers(0, 3, count), batch_size=BATCH, verbose=0)
    return model


@pytest.mark.parametrize("name", NETS)
def test_a_fresh_net_is_untrained_and_a_few_steps_make_it_trained(name: str) -> None:
    keras.utils.set_random_seed(1)
    model = NETS[name]()
    assert facts(model).untrained
    for optimizer in (keras.optimizers.SGD(1e-3), keras.optimizers.Adam(1e-3)):
        found = facts(train(model, optimizer))
        assert not found.untrained
        assert found.left_at_start == []
        assert found.frozen_at_start == []


def reborn(model: Any, *names: str) -> Any:
    """`model` with the named layers as they are when built."""
    fresh = keras.models.clone_model(model)
    for name in names:
        model.get_layer(name).set_weights(fresh.get_layer(name).get_weights())
    return model


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("convolutions", ["head"]),
        ("convolutions", ["conv_1", "norm_1"]),
        ("convolutions without bias", ["norm_0"]),
        ("recurrent", ["head"]),
        ("recurrent", ["bidirectional"]),
        ("attentive", ["attention"]),
        ("dense", ["dense_0", "dense_1"]),
    ],
)
def test_layers_that_were_not_restored_are_named(name: str, left: list[str]) -> None:
    keras.utils.set_random_seed(1)
    model = train(NETS[name](), keras.optimizers.Adam(3e-3), steps=24)
    names = [n for n in (x.name for x in model.layers) if any(n.startswith(x) for x in left)]
    found = facts(reborn(model, *names))
    assert not found.untrained
    if names == ["norm_0"]:  # What feeds it is small and looks untrained: after so few steps nothing tells.
        names = ["conv_0", *names]
    assert found.left_at_start == [f"net/{n}" for n in names]


def test_a_large_kernel_without_bias_is_known_by_its_limits() -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((6,)), layers.Embedding(400, 24, name="tokens"), layers.Flatten()], name="net"
    )
    model.add(layers.Dense(16, "relu"))
    model.add(layers.Dense(3, "softmax"))
    train(model, keras.optimizers.Adam(3e-3), steps=60)
    assert facts(model).left_at_start == []
    assert facts(reborn(model, "tokens")).left_at_start == ["net/tokens"]


def test_frozen_layers_are_told_apart_since_random_features_are_meant() -> None:
    keras.utils.set_random_seed(1)
    model = plain()
    model.get_layer("dense_0").trainable = False
    found = facts(train(model, keras.optimizers.Adam(3e-3)))
    assert found.left_at_start == []
    assert found.frozen_at_start == ["net/dense_0"]


@pytest.mark.parametrize(
    "initializer",
    [
        "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal", "uniform",
        "normal", "orthogonal", "zeros", "ones", initializers.TruncatedNormal(0.5, 0.1), initializers.Identity(),
        initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"), initializers.Constant(0.3),
    ],
)  # fmt: skip
def test_every_initializer_is_recognized_in_its_own_draws_and_not_behind_noise(initializer: Any) -> None:
    keras.utils.set_random_seed(2)
    layer = layers.Dense(40, kernel_initializer=initializer)
    layer.build((None, 60))
    drawn = look(layer, layer.kernel)
    assert drawn is not None
    assert drawn.initial
    kernel = np.array(layer.kernel)
    moved = kernel + np.random.default_rng(3).normal(0, kernel.std() + 1e-3, kernel.shape)
    layer.kernel.assign(moved)
    after = look(layer, layer.kernel)
    assert after is not None
    assert not after.initial
