"""What an attack is made of, and how all of them are found."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import tests.attacks

if TYPE_CHECKING:
    from tests.attacks.canaries import Canaries

GROUPS = ("keras_archive", "hdf5", "saved_model", "batch")

# What ends an attack in the cage where nothing was refused before.
FILES = "file rules"
CALLS = "system call rules"
MEMORY = "memory watch"
TIME = "deadline"
OUTPUT = "output limit"
LIBRARY = "its library"
NOTHING = "nothing to stop"

INSIDE = {
    FILES: "the guest may open its packages, its own upload and its own scratch folder, nothing else",
    CALLS: "no sockets, no programs, no other processes",
    MEMORY: "the guest is killed where it takes more than it may",
    TIME: "the guest is killed when its time, on the clock or of the processor, is used up",
    OUTPUT: "the guest is killed where it writes more than it may",
    LIBRARY: "Keras, TensorFlow, NumPy or the reader of the format gives up by itself; nothing is relied on there",
    NOTHING: "it is opened and stays within its folder and its limits: the pass refuses it for what it would cost, or "
    "because two readers may read it differently",
}
"""What each of these words means."""


@dataclass(frozen=True)
class Upload:
    """What is sent. A part that is None is a good one."""

    model: bytes | None = None
    model_name: str = "model.keras"
    batch: bytes | None = None
    batch_name: str = "batch.npz"


@dataclass(frozen=True)
class Attack:
    """What one attack tries and what becomes of it.

    `code` is the problem code that the front door answers, `says` are words that its detail must have; `inside` ends
    it in the cage with the static pass and safe mode off, where it is opened by `loader`. `breaches`: without a cage
    it reaches a canary. `slow_inside`: TensorFlow waits there for ten seconds before it says that memory is short.
    """

    tries: str
    code: str
    inside: str
    says: tuple[str, ...] = ()
    loader: str = "keras"
    breaches: bool = False
    slow_inside: bool = False


@dataclass(frozen=True)
class Found:
    """An attack with its place in the package."""

    group: str
    name: str
    attack: Attack
    make: Callable[[Canaries], Upload]

    def __str__(self) -> str:
        return f"{self.group}-{self.name}"


@cache
def all_attacks() -> tuple[Found, ...]:
    """Every attack in the package, by group and name."""
    found = []
    for group in GROUPS:
        package = importlib.import_module(f"{tests.attacks.__name__}.{group}")
        for info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            found.append(Found(group, info.name, module.ATTACK, module.make))
    return tuple(found)
