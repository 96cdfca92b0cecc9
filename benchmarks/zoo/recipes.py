"""What a layer class needs to stand in a small model, told from its name, its module and the names of its arguments.

A class that nothing here fits raises: a new layer of Keras wants a line here, and its row says so until it has one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.zoo.data import Array, arrays, pictures, tokens
from benchmarks.zoo.small_models import Small, headed, normalization

L = keras.layers
SIDE, LENGTH, VOCABULARY = 12, 6, 12
WORDS = [f"word{i}" for i in range(1, VOCABULARY)]

ARGUMENTS: dict[str, Any] = {
    "units": 8, "filters": 4, "kernel_size": 3, "pool_size": 2, "output_size": 2, "rate": 0.3, "stddev": 0.3,
    "factor": 0.2, "height_factor": 0.1, "width_factor": 0.1, "height": 10, "width": 10, "activation": "tanh",
    "axes": 1, "input_dim": VOCABULARY, "output_dim": 4, "num_bins": VOCABULARY, "num_heads": 2, "key_dim": 4,
    "head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2, "dims": (2, 1), "target_shape": (2, -1), "n": 3,
    "scale": 1 / 255, "equation": "abc,cd->abd", "output_shape": (None, 5), "max_value": 6.0,
    "function": lambda x: x,
}  # fmt: skip
"""Values for the arguments that some class cannot do without."""

SETTINGS: dict[str, dict[str, Any]] = {
    "RandomPosterization": {"factor": 4},
    "Attention": {"dropout": 0.2},
    "CategoryEncoding": {"num_tokens": VOCABULARY, "output_mode": "count"},
    "Discretization": {"bin_boundaries": [-1.0, 0.0, 1.0], "output_mode": "one_hot"},
    "IntegerLookup": {"vocabulary": list(range(1, VOCABULARY))},
    "StringLookup": {"vocabulary": WORDS},
    "TextVectorization": {"vocabulary": WORDS, "output_sequence_length": LENGTH},
    "MelSpectrogram": {
        "fft_length": 64,
        "sequence_stride": 32,
        "num_mel_bins": 8,
        "sampling_rate": 8000,
        "max_freq": 4000,
    },
    "STFTSpectrogram": {"frame_length": 64, "frame_step": 32, "fft_length": 64},
    "GroupNormalization": {"groups": 2},
    "Normalization": {"mean": 0.0, "variance": 2.0},
    "Solarization": {"threshold_factor": 0.5},
    "Masking": {"mask_value": 9.0},
    "RNN": {"cell": lambda: L.GRUCell(8, dropout=0.2)},
    "StackedRNNCells": {"cells": lambda: [L.LSTMCell(6), L.GRUCell(8)]},
    "TimeDistributed": {"layer": lambda: L.Dense(5)},
    "Bidirectional": {"layer": lambda: L.LSTM(5)},
    "SpectralNormalization": {"layer": lambda: L.Dense(5)},
    "Pipeline": {"layers": lambda: [L.RandomFlip(), L.RandomRotation(0.1)]},
}
"""Beyond `ARGUMENTS`, by class; a layer inside another is made anew for each model."""


def model(kind: type[keras.Layer]) -> Small:
    """The small model around one layer of this class, which is named `subject` where it stands by itself."""
    arrange = next(found for fits, found in ARRANGEMENTS if fits(kind))
    return arrange(kind)


def made(kind: type[keras.Layer], **more: Any) -> keras.Layer:
    """An instance: what the class cannot do without from the tables above."""
    wanted = inspect.signature(kind.__init__).parameters.values()
    settings = {k: v() if callable(v) else v for k, v in SETTINGS.get(kind.__name__, {}).items()}
    needed = [p.name for p in wanted if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    given = {name: ARGUMENTS[name] for name in needed if name not in settings}
    return kind(**{"name": "subject", **given, **settings, **more})


def _shape(kind: type[keras.Layer]) -> tuple[int, ...]:
    """Of one sample that a class of this name is made for."""
    name = kind.__name__
    steps = (3,) if name.startswith("ConvLSTM") else ()
    for ending, sizes in (("1D", (16, 4)), ("2D", (8, 8, 3)), ("3D", (6, 6, 6, 2))):
        if ending in name:
            return (*steps, *sizes)
    if "Spectrogram" in name:
        return (512, 1) if name.startswith("STFT") else (512,)
    if name == "RepeatVector":
        return (5,)
    recurrent = "RNN" in name or kind.__module__.startswith("keras.src.layers.rnn")
    return (LENGTH, 4) if recurrent or name in ("EinsumDense", "Masking", "Permute", "Softmax") else (8,)


def _plain(kind: type[keras.Layer]) -> Small:
    """Normalized measurements, the layer, the head. A cell is wrapped; a normalization to test stands alone."""
    shape = _shape(kind)
    inputs = keras.Input(shape, name="x")
    itself = issubclass(kind, L.BatchNormalization)
    layer = made(kind, momentum=0.9) if itself else made(kind)
    x = inputs if itself else normalization("before")(inputs)
    x = (L.RNN(layer, name="wrapped") if hasattr(layer, "state_size") and not isinstance(layer, L.RNN) else layer)(x)
    return Small(headed(inputs, x), lambda n, s: _named(*arrays(n, shape, s)), 2)


def _named(x: Array, y: Array) -> tuple[dict[str, Array], Array]:
    return {"x": x}, y


def _picture(kind: type[keras.Layer]) -> Small:
    """Pictures of 0 to 255, the layer, normalization: augmentation stands before what it changes."""
    inputs = keras.Input((SIDE, SIDE, 3), name="x")
    x = L.Rescaling(1 / 64, name="scaled")(made(kind)(inputs))
    return Small(headed(inputs, normalization("before")(x)), lambda n, s: _named(*pictures(n, SIDE, s)), 2)


def _first(kind: type[keras.Layer]) -> Small:
    """Measurements, the layer, normalization: what prepares data stands first, and passes no gradient on."""
    shape = _shape(kind)
    inputs = keras.Input(shape, name="x")
    x = normalization("before")(made(kind)(inputs))
    return Small(headed(inputs, x), lambda n, s: _named(*arrays(n, shape, s)), 2)


def _merging(kind: type[keras.Layer]) -> Small:
    """Two branches of one size."""
    inputs = keras.Input((8,), name="x")
    x = normalization("before")(inputs)
    return Small(headed(inputs, made(kind)([x, L.Dense(8)(x)])), lambda n, s: _named(*arrays(n, (8,), s)), 2)


def _attending(kind: type[keras.Layer]) -> Small:
    """A sequence that attends to itself."""
    inputs = keras.Input((LENGTH, 8), name="x")
    x, layer = normalization("before")(inputs), made(kind)
    x = layer([x, x]) if kind.__name__ in ("Attention", "AdditiveAttention") else layer(x, x)
    return Small(headed(inputs, x), lambda n, s: _named(*arrays(n, (LENGTH, 8), s)), 2)


def _numbered(kind: type[keras.Layer]) -> Small:
    """Whole numbers, embedded; of two columns for a crossing."""
    crossing = kind.__name__ == "HashedCrossing"
    names = ("a", "b") if crossing else ("x",)
    inputs = [keras.Input((1,) if crossing else (LENGTH,), dtype="int32", name=n) for n in names]
    x = made(kind)(inputs if crossing else inputs[0])
    return Small(headed(inputs, normalization("before")(_embedded(x))), _numbers(names), 2)


def _numbers(names: tuple[str, ...]) -> Callable[[int, int], tuple[dict[str, Array], Array]]:
    def draw(rows: int, seed: int) -> tuple[dict[str, Array], Array]:
        x, y = tokens(rows, LENGTH if len(names) == 1 else len(names), VOCABULARY, seed)
        return ({names[0]: x} if len(names) == 1 else {n: x[:, i : i + 1] for i, n in enumerate(names)}), y

    return draw


def _embedded(x: Any) -> Any:
    if not keras.backend.standardize_dtype(x.dtype).startswith("int"):
        return x
    return L.Embedding(VOCABULARY + 2, 4, name="embedded")(x)


def _text(kind: type[keras.Layer]) -> Small:
    """Words, or sentences of them."""
    sentences = kind.__name__ == "TextVectorization"
    inputs = keras.Input((1,) if sentences else (LENGTH,), dtype="string", name="x")

    def draw(rows: int, seed: int) -> tuple[dict[str, Array], Array]:
        numbers, y = tokens(rows, LENGTH, VOCABULARY, seed)
        words = np.asarray(WORDS)[numbers - 1]
        return {"x": np.asarray([[" ".join(w)] for w in words]) if sentences else words}, y

    return Small(headed(inputs, normalization("before")(_embedded(made(kind)(inputs)))), draw, 2)


def _within(*places: str) -> Callable[[type[keras.Layer]], bool]:
    return lambda kind: any(kind.__module__.startswith(f"keras.src.layers.{place}") for place in places)


def _called(*names: str) -> Callable[[type[keras.Layer]], bool]:
    return lambda kind: kind.__name__ in names


ARRANGEMENTS: list[tuple[Callable[[type[keras.Layer]], bool], Callable[[type[keras.Layer]], Small]]] = [
    (_called("StringLookup", "TextVectorization"), _text),
    (
        _called("Embedding", "ReversibleEmbedding", "CategoryEncoding", "Hashing", "HashedCrossing", "IntegerLookup"),
        _numbered,
    ),
    (_within("preprocessing.image_preprocessing"), _picture),
    (_called("Rescaling", "Pipeline"), _picture),
    (_within("preprocessing"), _first),
    (_within("merging"), _merging),
    (_within("attention"), _attending),
    (lambda kind: True, _plain),
]
"""Which arrangement a class is shown in: the first that fits."""
