"""A worker takes what it has slots for, over all of its queues together, and not more; in the order of the line."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable

from app.jobs.needs import Place
from app.worker.devices import Device
from app.worker.slots import YIELDS, Slots
from tests.app.conftest import check_problem
from tests.app.double import script
from tests.app.served import Server

ANY, GPU, OLD = Place().queue, Place(gpu=True).queue, Place(keras2=True).queue
CPU, CARD = Device("cpu", 2), Device("gpu:0", 2, "GPU-0", "L4", 1 << 30, 1 << 29)


def test_gpu_slots_are_for_all_and_kept_for_those_that_need_them() -> None:
    slots = Slots([CARD, CPU], lambda _: None)
    assert (slots.free(ANY), slots.free(GPU)) == (4, 2)
    slots.take([("a", 1), ("b", 1), ("c", 1)], ANY)
    assert (slots.free(ANY), slots.free(GPU)) == (1, 1)
    with slots.held(("a", 1)) as first, slots.held(("c", 1)) as third:
        assert (first, third) == (CPU, CARD)
    assert (slots.free(ANY), slots.free(GPU)) == (3, 2)


def test_a_device_in_doubt_gives_no_slots() -> None:
    slots = Slots([CPU, CARD], lambda _: None)
    slots.mark(CARD, "checking", "why")
    assert (slots.free(ANY), slots.free(GPU), slots.usable) == (2, 0, 4)
    slots.mark(CARD, "withdrawn", "broken")
    assert slots.usable == 2
    assert [(found["state"], found["reason"]) for found in slots.described()] == [
        ("ready", None),
        ("withdrawn", "broken"),
    ]
    slots.mark(CARD, "ready")
    assert slots.free(GPU) == 2


def test_the_queue_with_the_next_job_goes_first_but_not_without_end() -> None:
    slots = Slots([CPU], lambda queues: OLD if OLD in queues else None)
    assert slots.free(ANY) == 2, "alone"
    assert slots.free(OLD) == 2
    assert [slots.free(ANY) for _ in range(YIELDS + 1)] == [0] * YIELDS + [2]
    assert slots.free(OLD) == 2


def test_a_run_without_a_slot_is_told_so() -> None:
    slots = Slots([CPU], lambda _: None)
    with slots.held(("never taken", 1)) as device:
        assert device is None
    assert slots.free(ANY) == 2


def test_a_server_keeps_to_its_slots_to_limits_and_to_turns(start: Callable[..., Server]) -> None:
    """Two kinds of jobs, so two queues; two keys; a worker that is killed in between."""
    keys = {name: {"X-API-Key": name} for name in ("crowd", "single")}
    hashes = json.dumps([hashlib.sha256(name.encode()).hexdigest() for name in keys])
    server = start(slots=2, api_key_hashes=hashes, key_concurrency_limit=2, queue_limit_jobs=26)
    asynchronous = {"Prefer": "respond-async"}
    jobs = []
    for number in range(12):
        kind = ("m.zip", "m.h5")[number % 2]
        answer = server.post(script(seconds=0.4), headers=keys["crowd"] | asynchronous, model_name=kind)
        jobs.append(answer.json()["id"])
    assert server.post(script(), headers=keys["crowd"], data={"priority": "6"}).status_code == 422
    single = server.post(script(seconds=0.1), headers=keys["single"] | asynchronous).json()["id"]
    server.kill("worker")

    database = server.data_dir / "phasegap.sqlite"
    most = 0
    while True:
        with sqlite3.connect(database, timeout=30) as connection:
            found = dict(connection.execute("SELECT id, status FROM diagnoses"))
        most = max(most, Counter(found.values())["running"])
        if set(found.values()) == {"succeeded"}:
            break
        assert set(found.values()) <= {"queued", "running", "succeeded"}
        time.sleep(0.02)
    assert most == 2
    with sqlite3.connect(database) as connection:
        query = "SELECT d.id FROM diagnoses d, diagnoses s WHERE s.id = ? AND d.started_at > s.created_at"
        overtook = connection.execute(f"{query} AND d.started_at < s.started_at", (single,)).fetchall()
        settled = Counter(row[0] for row in connection.execute("SELECT diagnosis_id FROM settlements"))
    assert settled == Counter([*jobs, single])
    assert len(overtook) <= len(jobs) // 2, "a single job waits for its turn, not for the crowd"

    for_a_gpu = {"data": {"device": "gpu"}, "headers": keys["crowd"] | asynchronous}
    assert [server.post(script(), **for_a_gpu).status_code for _ in range(13)] == [202] * 13
    check_problem(server.post(script(), **for_a_gpu), "queue_full", 503)
    assert server.post(script(), headers=keys["single"]).status_code == 200, "half of the places are for others"
