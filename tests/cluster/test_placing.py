"""Limits and turns of keys over several workers on PostgreSQL, one of which is killed; a GPU that joins late."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.double import script
from tests.app.gpus import listing, path_with
from tests.cluster.conftest import Cluster
from tests.cluster.postgres import Postgres

pytestmark = pytest.mark.slow

CROWD, SINGLE = ({"X-API-Key": name, "Prefer": "respond-async"} for name in ("crowd", "single"))
LIMIT = 3
JOBS = 24


def test_a_limit_holds_over_workers_that_die(cluster: Callable[..., Cluster], postgres: Postgres) -> None:
    hashes = json.dumps([hashlib.sha256(name.encode()).hexdigest() for name in ("crowd", "single")])
    server = cluster(2, api_key_hashes=hashes, key_concurrency_limit=LIMIT, slots=3)
    server.until(lambda: len(postgres.rows("SELECT id FROM workers")) == 3, 60)
    for number in range(JOBS):
        name = ("m.zip", "m.h5")[number % 2]
        assert server.post(script(seconds=0.4), headers=CROWD, model_name=name).status_code == 202
    single = server.post(script(seconds=0.1), headers=SINGLE).json()["id"]
    server.workers[0].kill()
    running = "SELECT count(*) FROM diagnoses WHERE status = 'running' AND owner = (SELECT min(owner) FROM diagnoses d "
    running += "JOIN (SELECT owner o, count(*) n FROM diagnoses GROUP BY owner) c ON c.o = d.owner WHERE c.n > 1)"
    most, end = 0, time.monotonic() + 120
    while time.monotonic() < end:
        most = max(most, postgres.rows(running)[0][0])
        found = dict(postgres.rows("SELECT id, status FROM diagnoses"))
        if set(found.values()) == {"succeeded"}:
            break
    assert set(found.values()) == {"succeeded"}
    assert most == LIMIT
    (overtook,) = postgres.rows(
        f"SELECT count(*) FROM diagnoses d, diagnoses s WHERE s.id = '{single}' AND d.started_at > s.created_at "
        "AND d.started_at < s.started_at"
    )[0]
    assert overtook <= JOBS // 4, "a single job waits for its turn, not for the crowd"
    settled = Counter(row[0] for row in postgres.rows("SELECT diagnosis_id FROM settlements"))
    assert settled == Counter(list(found))


def test_a_job_waits_for_a_gpu_and_is_run_by_the_worker_that_has_it(
    cluster: Callable[..., Cluster], postgres: Postgres, tmp_path: Path
) -> None:
    server = cluster(1, devices="cpu")
    waiting = server.submit(script(), data={"device": "gpu"})
    server.until(lambda: "a GPU" in str(server.job(waiting)["progress"]["note"]), 20)
    assert server.post(script()).status_code == 200
    said = listing(tmp_path / "bin", 1)
    server.environment |= {"PATH": path_with(said.parent), "PHASEGAP_DEVICES": "gpu:0"}
    server.add_worker()
    assert server.ended(waiting)["status"] == "succeeded"
    (ran_on,) = postgres.rows(
        f"SELECT w.capabilities FROM diagnoses d JOIN workers w ON w.id = d.worker_id WHERE d.id = '{waiting}'"
    )
    assert ran_on[0]["devices"][0]["name"] == "gpu:0"
