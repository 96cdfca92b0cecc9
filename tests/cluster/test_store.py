"""One web process and two workers that share a database and a bucket, and no folder, while every third request to the
bucket fails: 200 jobs, each accepted one ends, once, and nothing is left. In a second round processes are killed, too;
in a third one worker's disk is full.

    python -m pytest -m slow tests/cluster/test_store.py -rP
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.app.bucket_served import BUCKET
from tests.app.double import script
from tests.app.faulty import FaultyProxy
from tests.app.moto import keys_in, moto_served, unfinished_in
from tests.app.served import DOUBLE, ROOT, Server
from tests.app.test_blobs import point_at
from tests.app.test_faults import disk_at, fill
from tests.cluster.conftest import QUICK
from tests.cluster.postgres import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

JOBS = 200
CLIENTS = 6
LARGE_EVERY, LARGE_BYTES = 25, 9_000_000
"""Some models go up in parts and come down in pieces."""
FILES = ("batch.npz", "model.keras", "repaired", "report.json")
LATE_ROW_S = 60.0
QUICK_SLOTS = int(str(QUICK["slots"]))


class Hosts:
    """A web process and workers, each with a data folder of its own."""

    def __init__(self, folder: Path, postgres: Postgres, proxy: FaultyProxy, workers: int = 2) -> None:
        self.folder, self.proxy, self.postgres = folder, proxy, postgres
        settings = QUICK | {"queue_limit_jobs": 2 * JOBS, "submissions_per_minute_limit": 0, "store_seconds": 20}
        with pytest.MonkeyPatch.context() as patch:
            point_at(proxy.url, patch)
            self.web = Server(
                folder / "web", own_worker=False, database_url=postgres.url, store_url=f"s3://{BUCKET}/p", **settings
            )
        self.web.until(lambda: self.web.get("/health/live").status_code == 200, 60)
        self.workers = [self.begin_worker(number) for number in range(workers)]
        self.web.wait_ready()
        self.web.until(lambda: len(postgres.rows("SELECT id FROM workers")) == workers, 60)

    def begin_worker(self, number: int) -> subprocess.Popen[bytes]:
        environ = self.web.environment | {"PHASEGAP_DATA_DIR": str(self.folder / f"worker-{number}")}
        with (self.folder / f"worker-{number}.log").open("ab") as log:
            command = [*DOUBLE, "--parent-pid", str(os.getpid())]
            return subprocess.Popen(command, env=environ, cwd=ROOT, stdout=log, stderr=log)

    def submit(self, number: int) -> str:
        """As clients should: the same key again until there is an answer."""
        model = script(seconds=0.05, name=f"n{number}", repaired=True)
        if number % LARGE_EVERY == 0:
            model = model.ljust(LARGE_BYTES)
        end = time.monotonic() + 180
        while time.monotonic() < end:
            try:
                headers = {"Idempotency-Key": f"job-{number}", "Prefer": "respond-async"}
                answer = self.web.post(model, headers=headers)
                if answer.status_code in (200, 202):
                    return str(answer.json()["id"])
                assert answer.status_code in (429, 503, 507), answer.text
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError("not accepted within three minutes")

    def left_over(self) -> list[str]:
        """Files of uploads, runs and removals on any host."""
        found = [path for part in ("blobs", "scratch") for path in self.folder.glob(f"*/{part}/**/*") if path.is_file()]
        return [str(path) for path in found if path.suffix != ".lock"]

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.web.stop()


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto_served(tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture
def hosts(postgres: Postgres, moto: str, tmp_path: Path) -> Iterator[Hosts]:
    with FaultyProxy(moto) as proxy:
        found = Hosts(tmp_path, postgres, proxy)
        proxy.every = 3
        yield found
        found.close()


def _kill_some(hosts: Hosts) -> None:
    """A worker and the web process, in the middle of it; a worker comes back with its own folder."""
    time.sleep(3.0)
    hosts.workers[0].kill()
    hosts.workers[0].wait()
    time.sleep(1.0)
    hosts.web.kill("web")
    hosts.workers[0] = hosts.begin_worker(0)


@pytest.mark.parametrize("killing", [False, True], ids=["failing", "failing and killed"])
def test_every_accepted_job_ends_once_and_nothing_is_left(hosts: Hosts, moto: str, killing: bool) -> None:
    started_s = time.monotonic()
    if killing:
        threading.Thread(target=_kill_some, args=(hosts,)).start()
    with ThreadPoolExecutor(CLIENTS) as pool:
        ids = list(pool.map(hosts.submit, range(JOBS)))
    assert len(set(ids)) == JOBS
    query = "SELECT count(*) FROM diagnoses WHERE status = 'succeeded'"
    hosts.web.until(lambda: hosts.postgres.rows(query) == [(JOBS,)], 240)
    took_s = time.monotonic() - started_s
    settled = Counter(row[0] for row in hosts.postgres.rows("SELECT diagnosis_id FROM settlements"))
    assert settled == Counter(ids)
    hosts.web.until(lambda: not hosts.left_over(), 30 + (LATE_ROW_S + 30 if killing else 0))
    _check_objects(hosts, moto, ids, killing)
    crashes = hosts.postgres.rows("SELECT sum(crashes), sum(attempt - 1) FROM diagnoses")[0]
    spoilt = sum(hosts.proxy.spoilt.values())
    print(f"{JOBS} jobs in {took_s:.1f} s; {spoilt} of {hosts.proxy.requests} requests spoilt; crashes, runs put back: "
          f"{crashes}; multipart uploads that nobody ended: {unfinished_in(moto)}")  # fmt: skip
    assert killing or crashes[0] == 0, "a store that fails is no crash"
    assert min(hosts.proxy.spoilt.values()) > JOBS / 4
    with ThreadPoolExecutor(CLIENTS) as pool:
        assert set(pool.map(lambda one: hosts.web.client.delete(f"/diagnoses/{one}").status_code, ids)) == {204}
    hosts.web.until(lambda: not [key for key in keys_in(moto) if "/diagnoses/" in key], 30)
    hosts.web.until(lambda: not hosts.left_over(), 30)


def _check_objects(hosts: Hosts, moto: str, ids: list[str], killing: bool) -> None:
    """Four files of each job and no others, but for what a killed worker put beside those that count."""
    counting = dict(hosts.postgres.rows("SELECT id, attempt FROM diagnoses"))
    wanted = {
        f"p/diagnoses/{one[:2]}/{one}/{f'attempt-{counting[one]}' if name.startswith('rep') else 'upload'}/{name}"
        for one in ids
        for name in FILES
    }
    found = {key for key in keys_in(moto) if "/diagnoses/" in key}
    assert wanted <= found
    others = {key.split("/")[3] for key in found - wanted}
    assert others <= set(ids) if killing else not others, "no file without a row"


def test_a_worker_with_a_full_disk_leaves_jobs_to_others(postgres: Postgres, moto: str, tmp_path: Path) -> None:
    with disk_at(tmp_path / "worker-0") as small_disk, FaultyProxy(moto) as proxy:
        hosts = Hosts(tmp_path, postgres, proxy)
        try:
            ballast = fill(small_disk)
            took = "SELECT worker_id, count(*) FROM diagnoses GROUP BY worker_id"
            ids = [hosts.submit(number) for number in range(JOBS // 4)]
            assert {hosts.web.ended(one, 120)["status"] for one in ids} == {"succeeded"}
            assert len(postgres.rows(took)) == 1, "one worker did it all"
            assert postgres.rows("SELECT sum(crashes) FROM diagnoses") == [(0,)]
            put_back = dict(postgres.rows("SELECT labels, value FROM tallies WHERE metric = 'requeued'"))
            assert set(put_back) == {"no_room"}
            assert put_back["no_room"] <= 2 * QUICK_SLOTS, "it does not take one after the other to fail each"
            ballast.unlink()
            began_s = time.monotonic()
            while len(postgres.rows(took)) == 1:
                assert time.monotonic() - began_s < 30, "it takes part again"
                ids += [hosts.submit(JOBS + len(ids)) for _ in range(8)]
            assert {hosts.web.ended(one, 120)["status"] for one in ids} == {"succeeded"}
            hosts.web.until(lambda: not hosts.left_over(), 30)
        finally:
            hosts.close()
