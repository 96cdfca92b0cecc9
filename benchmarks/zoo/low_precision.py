"""Layers that are quantized or carry low-rank updates: variables beside the weights that a phase may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from benchmarks.zoo.data import CLASSES, arrays, tokens
from benchmarks.zoo.small_models import Small, headed, normalization

L = keras.layers
LENGTH, VOCABULARY, RANK = 6, 12, 2
MODES = ("int8", "int4", "float8")

Layers = dict[str, Callable[[], keras.layers.Layer]]
LAYERS: Layers = {
    "Dense": lambda: L.Dense(8, name="subject"),
    "EinsumDense": lambda: L.EinsumDense("ab,bc->ac", output_shape=8, name="subject"),
    "Embedding": lambda: L.Embedding(VOCABULARY, 8, name="subject"),
    "ReversibleEmbedding": lambda: L.ReversibleEmbedding(VOCABULARY, 8, name="subject"),
    "MultiHeadAttention": lambda: L.MultiHeadAttention(2, 4, name="subject"),
}
"""Layers that Keras quantizes."""

RANKED = ("Dense", "EinsumDense", "Embedding", "ReversibleEmbedding")
"""Layers with `enable_lora`."""


def _numbers(rows: int, seed: int) -> Any:
    x, y = tokens(rows, LENGTH, VOCABULARY, seed)
    return {"x": x}, y


def _measurements(*shape: int) -> Callable[[int, int], Any]:
    def draw(rows: int, seed: int) -> Any:
        x, y = arrays(rows, shape, seed)
        return {"x": x}, y

    return draw


def _model(name: str) -> Small:
    layer = LAYERS[name]()
    if "Embedding" in name:
        inputs = keras.Input((LENGTH,), dtype="int32", name="x")
        return Small(headed(inputs, normalization("before")(layer(inputs))), _numbers, 2)
    shape = (LENGTH, 8) if name == "MultiHeadAttention" else (8,)
    inputs = keras.Input(shape, name="x")
    x = normalization("before")(inputs)
    return Small(headed(inputs, layer(x, x) if len(shape) > 1 else layer(x)), _measurements(*shape), 2)


def _quantized(name: str, mode: str) -> Small:
    """Quantized after training, as for deployment. Coarser weights move what later layers see: their statistics."""
    small = _model(name)
    small.after.append(lambda model: model.quantize(mode))
    return Small(small.model, small.draw, 2, frozenset({"bn_statistics_stale"}), small.after)


def _ranked(name: str, mode: str | None = None) -> Small:
    """With low-rank updates that are trained, quantized before where a mode is given."""
    small = _model(name)
    if mode is not None:
        small.model.quantize(mode)
    small.model.get_layer("subject").enable_lora(RANK)
    return small


def _eighth() -> Small:
    """Trained in float8: scales and histories of amplitudes are variables that each training pass changes."""
    inputs = keras.Input((8,), name="x")
    x = normalization("before")(inputs)
    x = L.Dense(16, dtype="float8_from_float32", name="subject")(x)
    x = L.Dense(16, activation="relu", dtype="float8_from_mixed_bfloat16", name="other")(x)
    model = keras.Model(inputs, L.Dense(CLASSES, activation="softmax", name="classes")(x))
    return Small(model, _measurements(8), 1)


MODELS: dict[str, Callable[[], Small]] = {
    **{
        f"{n} quantized {m}": (lambda n=n, m=m: _quantized(n, m))
        for n in LAYERS
        for m in MODES
        if m != "float8" or "Emb" not in n
    },
    **{f"{n} with LoRA": (lambda n=n: _ranked(n)) for n in RANKED},
    **{f"{n} with LoRA, int8": (lambda n=n: _ranked(n, "int8")) for n in RANKED},
    "Dense trained in float8": _eighth,
}
"""By name: each a small model."""
