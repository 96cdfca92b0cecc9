"""Architectures, small enough to train by the dozen. Each is a body between inputs and head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from benchmarks.quality.data import draw
from benchmarks.quality.parts import Parts
from benchmarks.quality.settings import LOSS, METRICS, Recipe, Setting

L = keras.layers
Body = Callable[[Parts, Any], Any]


def _mlp(p: Parts, x: Any) -> Any:
    for units in (48, 32, 24):
        x = p.normed(p.dense(units)(x))
    return x


def _deep_mlp(p: Parts, x: Any) -> Any:
    for units in (40, 40, 32, 32, 24, 24):
        x = p.normed(p.dense(units)(x))
    return x


def _input_bn(p: Parts, x: Any) -> Any:
    x = p.norm()(x)
    x = p.act()(p.dense(40)(x))
    return p.normed(p.dense(24)(x))


def _single_dense(p: Parts, x: Any) -> Any:
    x = p.act()(p.dense(48)(x))
    return p.act()(p.dense(20)(p.normed(p.dense(32)(x))))


def _plain(p: Parts, x: Any) -> Any:
    for filters, stride in ((10, 1), (16, 2), (24, 2)):
        x = p.normed(p.conv(filters, 3, stride)(x))
    return L.Flatten()(x)


def _single_conv(p: Parts, x: Any) -> Any:
    x = L.LeakyReLU(0.2)(L.Conv2D(8, 5, 2, "same")(x))
    return L.Flatten()(p.normed(p.conv(12, 3, 2)(x)))


def _separable(p: Parts, x: Any) -> Any:
    x = p.normed(p.conv(12)(x))
    for filters in (16, 24):
        x = p.normed(L.DepthwiseConv2D(3, 2, "same", use_bias=False)(x))
        x = p.normed(p.conv(filters, 1)(x))
    return L.Flatten()(x)


def _residual(p: Parts, x: Any) -> Any:
    x = p.normed(p.conv(12)(x))
    for filters, stride in ((12, 1), (20, 2)):
        side = p.norm()(p.conv(filters, 1, stride)(x))
        x = p.norm()(p.conv(filters)(p.normed(p.conv(filters, 3, stride)(x))))
        x = p.act()(L.Add()([x, side]))
    return L.Flatten()(L.AveragePooling2D(2)(x))


def _preact(p: Parts, x: Any) -> Any:
    x = p.conv(12, 3, 2)(x)
    for _ in range(2):
        side = x
        x = p.conv(12)(p.normed(x))
        x = L.Add()([side, p.conv(12)(p.normed(x))])
    return L.Flatten()(p.normed(x))


def _conv1d(p: Parts, x: Any) -> Any:
    for filters in (12, 16, 20):
        x = p.normed(L.Conv1D(p.width(filters), 5, padding="same", use_bias=p.bias)(x))
    return L.Flatten()(L.MaxPooling1D(2)(x))


def _recurrent(p: Parts, x: Any) -> Any:
    rate = p.recipe.noise_rate if p.recipe.noise == "recurrent" else 0.0
    x = p.norm()(L.Dense(p.width(12))(x))
    x = L.LSTM(p.width(16), dropout=rate, recurrent_dropout=rate)(x)
    return p.act()(p.norm()(L.Dense(p.width(20))(x)))


def _shared(p: Parts, x: Any) -> Any:
    half = x.shape[1] // 2
    conv, norm = L.Conv1D(p.width(14), 5, padding="same"), p.norm()
    both = [p.act()(norm(conv(L.Cropping1D(cut)(x)))) for cut in ((0, half), (half, 0))]
    return p.normed(p.dense(24)(L.Flatten()(L.Concatenate()(both))))


def _unet(p: Parts, x: Any) -> Any:
    top = p.normed(p.conv(8)(x))
    low = p.normed(p.conv(16)(L.MaxPooling2D(2)(top)))
    low = p.normed(p.conv(16)(low))
    return p.normed(p.conv(10)(L.Concatenate()([top, L.UpSampling2D(2)(low)])))


def _nested(p: Parts, x: Any) -> Any:
    inner = keras.Input(x.shape[1:])
    y = p.normed(p.conv(10)(inner))
    y = L.Flatten()(p.normed(p.conv(12, 3, 2)(y)))
    return p.normed(p.dense(24)(keras.Model(inner, y, name="backbone")(x)))


def _two_inputs(p: Parts, x: Any) -> Any:
    picture = L.Flatten()(p.normed(p.conv(12, 3, 2)(x["picture"])))
    facts = p.normed(p.dense(16)(x["facts"]))
    return p.normed(p.dense(24)(L.Concatenate()([picture, facts])))


@dataclass(frozen=True)
class Net:
    """An architecture: the kind of data it takes, its body, and the heads that suit it."""

    kind: str
    body: Body
    heads: tuple[str, ...] = ("softmax", "softmax", "softmax", "logits", "onehot", "sigmoid", "binlogit", "real")


NETS = {
    "mlp": Net("tables", _mlp),
    "deep_mlp": Net("tables", _deep_mlp),
    "input_bn": Net("tables", _input_bn),
    "single_dense": Net("tables", _single_dense),
    "plain": Net("images", _plain),
    "single_conv": Net("images", _single_conv),
    "separable": Net("images", _separable),
    "residual": Net("images", _residual),
    "preact": Net("images", _preact),
    "nested": Net("images", _nested),
    "conv1d": Net("series", _conv1d),
    "recurrent": Net("series", _recurrent),
    "shared": Net("series", _shared),
    "unet": Net("scenes", _unet, ("mask",)),
    "two_inputs": Net("pairs", _two_inputs, ("softmax", "sigmoid")),
}

IMAGE_NETS = ("plain", "separable", "residual", "preact", "single_conv", "nested")
TABLE_NETS = ("mlp", "deep_mlp", "input_bn", "single_dense")
SERIES_NETS = ("conv1d", "recurrent", "shared")
ALL_NETS = tuple(NETS)
DEEP_NETS = ("deep_mlp", "mlp", "plain", "separable", "residual", "preact", "conv1d")
"""Three normalizations in a row and more."""


def sample(setting: Setting, n: int, purpose: str, imbalance: bool = False) -> tuple[Any, Any]:
    """Inputs and labels for the network's setting."""
    return draw(NETS[setting.net].kind, setting, n, purpose, imbalance)


def built(setting: Setting, recipe: Recipe, redrawn: int = 0) -> Any:
    """The network, untrained, not compiled; initial weights follow the setting's seed, others for each `redrawn`."""
    keras.utils.set_random_seed(1 + setting.seed + redrawn)
    x = sample(setting, 1, "shapes")[0]
    p = Parts(setting, recipe)
    if isinstance(x, dict):
        inputs: Any = {name: keras.Input(a.shape[1:], name=name) for name, a in x.items()}
        entered = inputs
    else:
        inputs = keras.Input(x.shape[1:])
        entered = p.entrance(inputs)
    model = keras.Model(inputs, p.head(NETS[setting.net].body(p, entered)))
    if recipe.norm == "frozen":
        for norm in norms(model):
            norm.trainable = False
    return model


def norms(model: Any) -> list[Any]:
    """The batch normalization layers in order."""
    return [n for n in model._flatten_layers() if isinstance(n, L.BatchNormalization)]


def loss_of(head: str) -> Any:
    """The loss that fits the head."""
    if head == "logits":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if head == "binlogit":
        return keras.losses.BinaryCrossentropy(from_logits=True)
    return LOSS[head]


def compiled(model: Any, head: str, rate: Any = 3e-3) -> Any:
    """Adam, and a loss and metrics that fit the head."""
    metrics: list[Any] = [METRICS[head]] if head in METRICS else ["accuracy"]
    if head == "binlogit":
        metrics = [keras.metrics.BinaryAccuracy(threshold=0.0)]
    model.compile(keras.optimizers.Adam(rate), loss_of(head), metrics=metrics, jit_compile=False)
    return model
