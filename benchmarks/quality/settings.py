"""What varies between specimens beside the fault: the data's world, the network, its size, its head, its training."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np

CLASSIFIERS = ("softmax", "logits", "onehot")
"""Heads over three classes and more."""

LOSS = {
    "softmax": "sparse_categorical_crossentropy",
    "onehot": "categorical_crossentropy",
    "sigmoid": "binary_crossentropy",
    "mask": "binary_crossentropy",
    "real": "mse",
}
"""By head, as an identifier that a form field can carry; heads with logits have none and are compiled in the file."""

METRICS = {"softmax": "accuracy", "onehot": "accuracy", "sigmoid": "accuracy", "mask": "accuracy", "real": "mae"}


def stream(*parts: object) -> np.random.Generator:
    """Random numbers of their own for whatever is named, the same on every machine."""
    return np.random.default_rng([zlib.crc32(str(part).encode()) for part in parts])


@dataclass(frozen=True)
class Setting:
    """One network on one world of data: what it learns, how wide it is and what its head says follow from the seed."""

    net: str
    head: str
    seed: int

    def rng(self, *purpose: object) -> np.random.Generator:
        """Random numbers for a purpose, the same for all heads."""
        return stream(self.net, self.seed, *purpose)

    @property
    def classes(self) -> int:
        """Classes there are, whether or not the head tells them apart."""
        return int(self.rng("classes").choice([3, 4, 5, 6]))

    @property
    def is_classifier(self) -> bool:
        """Whether the head chooses among three classes or more."""
        return self.head in CLASSIFIERS

    def width(self, units: int) -> int:
        """Units or filters, narrowed or widened by the seed."""
        return max(4, round(units * float(self.rng("width").choice([0.7, 1.0, 1.4]))))


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained; the defaults give a healthy one.

    `order` is "shuffled", "sorted" (by class) or "pure" (one domain a batch); `norm` is "batch", "layer", "group",
    "none" or "frozen"; `noise` names what is random in training (see `parts.Parts`); `slow_index` is the one
    normalization that has `slow_momentum`; `unit` multiplies the inputs; `vary` gives every sample a gain and an offset
    of its own.
    """

    momentum: float = 0.9
    epochs: int = 10
    batch_size: int = 32
    samples: int = 768
    rate: float = 3e-3
    decay: bool = True
    norm: str = "batch"
    noise: str = ""
    noise_rate: float = 0.0
    order: str = "shuffled"
    inert: bool = False
    penalty: float = 0.0
    epsilon: float = 1e-3
    unit: float = 1.0
    slow_index: int = -1
    slow_momentum: float = 0.0
    imbalance: bool = False
    vary: float = 0.0

    def but(self, **changes: object) -> Recipe:
        """The same, with changes."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def name(self) -> str:
        """Short and unique: a folder's name."""
        return f"{zlib.crc32(repr(self).encode()):08x}"
