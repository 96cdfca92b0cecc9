"""What a job needs and what a worker can do: pure functions of what was uploaded and of what a worker says of itself.

A job's *place* is all of its needs that decide who may run it. Each place has a queue of its own, and a worker listens
to those queues alone whose jobs it can do. The estimate of memory is what a diagnosis cannot do without, not what
it will take: a job must never wait for a larger worker that it does not need.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

MIB, GIB = 1 << 20, 1 << 30
Device = Literal["auto", "cpu", "gpu"]
DEVICES: tuple[Device, ...] = ("auto", "cpu", "gpu")

RUNTIME_BYTES = 300 * MIB
"""A guest that has loaded nothing: 250 MiB that it shares with its parent, and some of its own."""
WEIGHTS_OF_MODEL = 1 / 3
"""A file with Adam's state is two thirds moments, which are not loaded."""
TEXT_BATCHES = (".json", ".csv")
ARRAYS_OF_TEXT = 1 / 4
"""Numbers as text take up to four times the bytes of the same as float32; other batches unpack to no less."""
SIZES_GIB = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Steps of memory. What fits into the first goes to every worker, however small its guests are."""

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5", ".zip", ".tar.gz", ".tgz", ".tar")
BATCH_SUFFIXES = (".npz", ".npy", ".h5", ".hdf5", ".json", ".csv", ".parquet")
"""What can be read, by how a file's name ends."""

KERAS_FILES = (".keras", ".h5", ".hdf5")
WRITTEN_BY = re.compile(rb'"keras_version": ?"([0-9]+)\.[0-9]')
HEAD_BYTES = 1024
"""How much of a model file is looked at for the version of Keras that wrote it, as bytes and not as an archive: it
stands first in a `.keras` file. Where it is not found, as in `.h5`, the file may be by Keras 2."""


@dataclass(frozen=True)
class Needs:
    """What one job needs."""

    device: Device
    memory_bytes: int
    keras2: bool

    @property
    def place(self) -> Place:
        size = next((size for size in SIZES_GIB if self.memory_bytes <= size * GIB), SIZES_GIB[-1])
        return Place(self.device == "gpu", size, self.keras2)


@dataclass(frozen=True, order=True)
class Place:
    """Needs that jobs share. The processor is everywhere: a worker with GPUs hides them from a job that wants none."""

    gpu: bool = False
    memory_gib: int = SIZES_GIB[0]
    keras2: bool = False

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return f"diagnoses-{'gpu' if self.gpu else 'any'}-{self.memory_gib}g{'-keras2' if self.keras2 else ''}"


ALL_PLACES = tuple(Place(gpu, size, keras2) for gpu in (False, True) for size in SIZES_GIB for keras2 in (False, True))
PLACES = {place.queue: place for place in ALL_PLACES}
"""Every place by its queue."""


def needs_of(device: Device, model: tuple[str, int], batch: tuple[str, int], head: bytes = b"") -> Needs:
    """What a job needs, by file names and sizes in bytes; `head` is how the model file begins, empty: not known."""
    of_batch = ARRAYS_OF_TEXT if PurePath(batch[0]).suffix in TEXT_BATCHES else 1.0
    memory = RUNTIME_BYTES + round(model[1] * WEIGHTS_OF_MODEL + batch[1] * of_batch)
    return Needs(device, memory, PurePath(model[0]).suffix in KERAS_FILES and may_be_by_keras_2(head))


def may_be_by_keras_2(head: bytes) -> bool:
    """Whether the file that begins so may have been written by Keras 2."""
    found = WRITTEN_BY.search(head)
    return found is None or int(found.group(1)) < 3


Abilities = Mapping[str, Any]
"""What a worker says of itself: see `app.worker.abilities`. One of an earlier version says nothing."""


def _usable(one: Abilities) -> list[Mapping[str, Any]]:
    return [device for device in one["devices"] if device["state"] != "withdrawn"]


def _has_gpu(one: Abilities, place: Place) -> bool:
    return not place.gpu or any(device["kind"] == "gpu" for device in _usable(one))


def _has_memory(one: Abilities, place: Place) -> bool:
    return place.memory_gib == SIZES_GIB[0] or place.memory_gib * GIB <= one["memory_per_guest_bytes"]


def _has_keras2(one: Abilities, place: Place) -> bool:
    return not place.keras2 or bool(one["keras2"])


HAS = {
    "a GPU": _has_gpu,
    "{memory_gib} GiB of memory for one diagnosis": _has_memory,
    "the code of Keras 2": _has_keras2,
}
"""What places ask for, by the words for it."""


def serves(one: Abilities | None, place: Place) -> bool:
    """Whether a worker that says this of itself can run jobs of that place."""
    return one is not None and bool(_usable(one)) and all(has(one, place) for has in HAS.values())


def missing(everyone: Iterable[Abilities | None], queue: str) -> str | None:
    """What these workers lack for the jobs of a queue, in words; None where one of them can do them."""
    known, place = [one for one in everyone if one], PLACES.get(queue)
    if place is None:
        return "a worker of another version"
    if any(serves(one, place) for one in known):
        return None
    asked = [words for words, has in HAS.items() if not has(NOTHING, place)]
    lacking = [words for words in asked if not any(HAS[words](one, place) for one in known)]
    return " and ".join(lacking or asked).format(memory_gib=place.memory_gib) or "a worker whose devices work"


NOTHING: Abilities = {"devices": [], "memory_per_guest_bytes": 0, "keras2": False}
