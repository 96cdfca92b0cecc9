"""Batch normalization in the places where models put it, and layers that look like it and are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from benchmarks.zoo.data import CLASSES, arrays
from benchmarks.zoo.small_models import MOMENTUM, Small, headed, normalization
from benchmarks.zoo.strangers import CenteredCell, GentleNormalization, Nested, NormalizedCell, RunningScale

L = keras.layers
STEPS, FEATURES = 5, 4


def _around(build: Callable[[Any], Any], shape: tuple[int, ...], normalizing: int, *plausible: str) -> Small:
    """Measurements of `shape` through what `build` makes of them, and the normalized head."""
    inputs = keras.Input(shape, name="x")
    return Small(headed(inputs, build(inputs)), _draw(shape), normalizing, frozenset(plausible))


def _draw(shape: tuple[int, ...]) -> Any:
    def draw(rows: int, seed: int) -> Any:
        x, y = arrays(rows, tuple(STEPS if s is None else s for s in shape), seed)
        return {"x": x}, y

    return draw


def _per_step(length: int | None) -> Small:
    """One update a step of the sequence: the fault that `bn_per_timestep` names."""
    wrapped = L.TimeDistributed(normalization("inner"), name="steps")
    return _around(wrapped, (length, FEATURES), 2, "bn_per_timestep")


def _recurrent(wrap: Callable[[Any], Any], cells: int) -> Small:
    """A cell that normalizes what it sees at each step: one update a step, as with a wrapper."""
    faults = ("bn_per_timestep", "bn_statistics_stale", "bn_statistics_unconverged")
    return _around(wrap, (STEPS, FEATURES), cells + 1, *faults)


def _blocks(x: Any) -> Any:
    shared = normalization("shared")
    return L.Concatenate()([shared(L.Dense(6)(x)), shared(L.Dense(6)(x))])


def _deep(x: Any) -> Any:
    inner = keras.Sequential([keras.Input((8,)), L.Dense(6), normalization("norm"), L.ReLU()], name="inner")
    outer = keras.Sequential([keras.Input((8,)), inner, L.Dense(6), normalization("norm")], name="outer")
    return outer(x)


def _masked(x: Any) -> Any:
    return normalization("masked")(L.Masking(9.0)(x))


def _frozen(x: Any) -> Any:
    layer = normalization("frozen")
    layer.trainable = False
    return layer(x)


def _precision(policy: str) -> Small:
    """All layers in one type of numbers."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return _around(normalization("before"), (8,), 2)
    finally:
        keras.config.set_dtype_policy(before)


def _two_outputs() -> Small:
    small = _around(normalization("before"), (8,), 2)
    body = small.model.get_layer("positive").output
    heads = [L.Dense(CLASSES, activation="softmax", name=n)(body) for n in ("coarse", "fine")]
    model = keras.Model(small.model.input, heads)
    return Small(model, lambda n, s: _twice(*small.draw(n, s)), 2)


def _twice(x: Any, y: Any) -> Any:
    return x, {"coarse": y, "fine": y}


def _subclassed() -> Small:
    return Small(Nested(name="nested"), _draw((8,)), 2)


MODELS: dict[str, Callable[[], Small]] = {
    "BatchNormalization synchronized": lambda: _around(normalization("sync", synchronized=True), (8,), 2),
    "BatchNormalization channels first": lambda: _around(normalization("first", axis=1), (3, 8, 8), 2),
    "BatchNormalization plain": lambda: _around(normalization("plain", center=False, scale=False), (8, 8, 3), 2),
    "BatchNormalization shared": lambda: _around(_blocks, (8,), 2),
    "BatchNormalization nested twice": lambda: _around(_deep, (8,), 3),
    "BatchNormalization masked": lambda: _around(_masked, (STEPS, FEATURES), 2),
    "BatchNormalization frozen": lambda: _around(_frozen, (8,), 2),
    "BatchNormalization mixed_float16": lambda: _precision("mixed_float16"),
    "BatchNormalization mixed_bfloat16": lambda: _precision("mixed_bfloat16"),
    "BatchNormalization float16": lambda: _precision("float16"),
    "BatchNormalization float64": lambda: _precision("float64"),
    "BatchNormalization two outputs": _two_outputs,
    "BatchNormalization subclassed model": _subclassed,
    "BatchNormalization subclass": lambda: _around(GentleNormalization(momentum=MOMENTUM, name="gentle"), (8,), 2),
    "TimeDistributed BatchNormalization": lambda: _per_step(STEPS),
    "TimeDistributed BatchNormalization, any length": lambda: _per_step(None),
    "RNN of a normalizing cell": lambda: _recurrent(L.RNN(NormalizedCell(6), name="rnn"), 1),
    "RNN of a normalizing cell, unrolled": lambda: _recurrent(L.RNN(NormalizedCell(6), unroll=True, name="rnn"), 1),
    "Bidirectional of a normalizing cell": lambda: _recurrent(
        L.Bidirectional(L.RNN(NormalizedCell(6), name="rnn"), name="both"), 2
    ),
    "RNN of a cell with a running mean": lambda: _around(L.RNN(CenteredCell(6), name="rnn"), (STEPS, FEATURES), 1),
    "custom layer with running state": lambda: _around(RunningScale(name="running"), (8,), 1),
}
"""By name: each a small model with the number of layers that truly normalize by the batch."""
