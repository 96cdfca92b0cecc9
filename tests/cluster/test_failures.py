"""PostgreSQL, workers and web processes that are killed, frozen and thawed: every accepted job ends, once."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable

import httpx2 as httpx
import pytest

from tests.app.double import script
from tests.cluster.conftest import LEASE_S, Cluster
from tests.cluster.postgres import Postgres

pytestmark = pytest.mark.slow

Start = Callable[..., Cluster]
JOBS = 24
SLACK_S = 10.0
"""What recovery may take beyond the lease."""


def _submit(server: Cluster, number: int) -> str:
    """As clients should: the same key again until there is an answer."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            headers = {"Idempotency-Key": f"job-{number}", "Prefer": "respond-async"}
            answer = server.post(script(seconds=0.3, name=f"n{number}"), headers=headers)
            if answer.status_code in (200, 202):
                return str(answer.json()["id"])
            assert answer.status_code in (429, 503), answer.text
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("not accepted within a minute")


def _all_end_once(server: Cluster, postgres: Postgres, ids: list[str]) -> None:
    for diagnosis_id in ids:
        assert server.ended(diagnosis_id, 90)["status"] == "succeeded"
    settled = Counter(row[0] for row in postgres.rows("SELECT diagnosis_id FROM settlements"))
    assert settled == Counter(ids)
    server.until(lambda: not list((server.data_dir / "scratch").glob("*-*")), 10)


def _two(cluster: Start, postgres: Postgres) -> Cluster:
    """A server with two workers that have joined."""
    server = cluster(1)
    server.until(lambda: len(postgres.rows("SELECT id FROM workers")) == 2, 60)
    return server


def test_two_workers_share_the_queue(cluster: Start, postgres: Postgres) -> None:
    server = _two(cluster, postgres)
    ids = [_submit(server, number) for number in range(JOBS)]
    _all_end_once(server, postgres, ids)
    took = Counter(row[0] for row in postgres.rows("SELECT worker_id FROM diagnoses"))
    assert len(took) == 2, "both workers took some"


def test_a_database_that_is_away_for_longer_than_a_lease_costs_no_job_and_no_worker(
    cluster: Start, postgres: Postgres
) -> None:
    server = _two(cluster, postgres)
    workers = sorted(postgres.rows("SELECT id FROM workers"))
    ids = [_submit(server, number) for number in range(JOBS)]
    postgres.kill()
    assert server.get("/health/live").status_code == 200
    server.until(lambda: server.get("/health/ready").status_code == 503, 15)
    time.sleep(LEASE_S + 1.0)
    postgres.start()
    server.until(lambda: server.get("/health/ready").status_code == 200, LEASE_S + SLACK_S)
    ids.append(_submit(server, JOBS))
    _all_end_once(server, postgres, ids)
    assert sorted(postgres.rows("SELECT id FROM workers")) == workers


def test_a_worker_that_is_killed_costs_a_second_run(cluster: Start, postgres: Postgres) -> None:
    server = _two(cluster, postgres)
    ids = [_submit(server, number) for number in range(JOBS)]
    server.until(lambda: bool(postgres.rows("SELECT id FROM diagnoses WHERE status = 'running'")))
    server.workers[0].kill()
    _all_end_once(server, postgres, ids)


def test_a_worker_that_was_frozen_beyond_its_lease_records_nothing(cluster: Start, postgres: Postgres) -> None:
    """Its jobs went to others; thawed, it finds itself declared dead and ends."""
    server = _two(cluster, postgres)
    ids = [_submit(server, number) for number in range(JOBS)]
    frozen = server.workers[0]
    held = f"SELECT d.id FROM diagnoses d JOIN workers w ON w.id = d.worker_id WHERE w.pid = {frozen.pid}"
    server.until(lambda: bool(postgres.rows(f"{held} AND d.status = 'running'")))
    frozen.send_signal(signal.SIGSTOP)
    try:
        server.until(lambda: len(postgres.rows("SELECT id FROM workers")) == 1, LEASE_S + SLACK_S)
        for diagnosis_id in ids:
            assert server.ended(diagnosis_id, 90)["status"] == "succeeded"
    finally:
        frozen.send_signal(signal.SIGCONT)
    frozen.wait(20)
    _all_end_once(server, postgres, ids)


def test_a_web_process_that_is_killed_loses_nothing(cluster: Start, postgres: Postgres) -> None:
    server = cluster(1)
    ids = [_submit(server, number) for number in range(JOBS // 2)]
    server.kill("web")
    ids += [_submit(server, number) for number in range(JOBS // 2, JOBS)]
    _all_end_once(server, postgres, ids)
