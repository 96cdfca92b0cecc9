"""What a job needs, worked out without opening anything, and which workers can do it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.needs import ALL_PLACES, GIB, PLACES, SIZES_GIB, Place, missing, needs_of, serves

BY_KERAS_2 = b'PK\x03\x04 metadata.json{"keras_version": "2.21.0", "date_saved": "2026-11-26@14:06:40"}'


def worker(*kinds: str, memory_gib: float = 4, keras2: bool = True, state: str = "ready") -> dict[str, Any]:
    devices = [{"kind": kind, "state": state} for kind in kinds]
    return {"devices": devices, "memory_per_guest_bytes": int(memory_gib * GIB), "keras2": keras2}


@pytest.mark.parametrize(("name", "needs_keras2"), [("model.keras", False), ("model.h5", True)])
def test_a_file_says_who_wrote_it_or_counts_as_old(files: dict[str, bytes], name: str, needs_keras2: bool) -> None:
    assert needs_of("auto", (name, 1), ("batch.npz", 1), files[name][:1024]).keras2 is needs_keras2


def test_what_keras_2_wrote_needs_it_and_an_archive_does_not() -> None:
    assert needs_of("auto", ("model.keras", 1), ("batch.npz", 1), BY_KERAS_2).keras2
    assert needs_of("auto", ("model.keras", 1), ("batch.npz", 1), b"PK\x03\x04something else").keras2
    assert not needs_of("auto", ("model.tar.gz", 1), ("batch.npz", 1), b"\x1f\x8b").keras2


def test_memory_follows_the_sizes() -> None:
    small = needs_of("auto", ("model.keras", 100 << 20), ("batch.npz", 50 << 20))
    large = needs_of("auto", ("model.keras", 2 << 30), ("batch.npz", 3 << 30))
    text = needs_of("auto", ("model.keras", 2 << 30), ("batch.csv", 3 << 30))
    assert (small.place.memory_gib, large.place.memory_gib, text.place.memory_gib) == (1, 4, 2)


def test_whatever_may_be_uploaded_by_default_is_for_the_default_worker() -> None:
    """A model of 2 GiB and a batch of 1 GiB, guests of 4 GiB: nobody may be left to wait by an upgrade."""
    needs = needs_of("auto", ("model.h5", 2 * GIB), ("batch.npz", GIB))
    assert serves(worker("cpu"), needs.place)


def test_a_gpu_is_for_all_and_the_processor_for_those_that_need_none() -> None:
    for_gpu = needs_of("gpu", ("m.keras", 1), ("b.npz", 1)).place
    for_cpu = needs_of("cpu", ("m.keras", 1), ("b.npz", 1)).place
    assert for_cpu == needs_of("auto", ("m.keras", 1), ("b.npz", 1)).place
    assert [serves(worker(kind), place) for kind in ("cpu", "gpu") for place in (for_cpu, for_gpu)] == [
        True, False, True, True,
    ]  # fmt: skip
    assert not serves(worker("gpu", state="withdrawn"), for_gpu)
    assert serves(worker("gpu", state="checking"), for_gpu)
    assert not serves(None, for_cpu)


@given(memory_gib=st.floats(0.1, 300), asked=st.sampled_from(ALL_PLACES))
def test_a_worker_gets_no_more_than_it_has(memory_gib: float, asked: Any) -> None:
    can = serves(worker("cpu", memory_gib=memory_gib), asked)
    assert can == (not asked.gpu and (asked.memory_gib == SIZES_GIB[0] or asked.memory_gib <= memory_gib))
    assert PLACES[asked.queue] == asked
    assert (missing([worker("cpu", memory_gib=memory_gib)], asked.queue) is None) == can


def test_what_is_missing_is_named() -> None:
    place = Place(gpu=True, memory_gib=8, keras2=True)
    assert missing([worker("cpu", memory_gib=16)], place.queue) == "a GPU"
    assert missing([worker("gpu"), worker("cpu", memory_gib=4)], place.queue) == "8 GiB of memory for one diagnosis"
    both = "a GPU and 8 GiB of memory for one diagnosis and the code of Keras 2"
    assert missing([worker("gpu"), worker("cpu", memory_gib=16)], place.queue) == both, "no one has all of it"
    assert missing([worker("gpu", state="withdrawn")], Place().queue) == "a worker whose devices work"
    assert missing([worker("gpu")], "diagnoses-of-tomorrow") == "a worker of another version"
