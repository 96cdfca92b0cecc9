"""Does a job cost the same on eight workers as on one? Sleeping guests, real PostgreSQL, web and workers.

    python -m benchmarks.growth --workers 1 2 4 8 --seconds 1

Guests sleep, so that two cores can play eight workers: what is measured is the service around them. For each number
of workers it first watches them idle, then lets each run its jobs, and prints jobs a second, and for a job: processor
time of the database, of the web process and of the workers, and queries (pg_stat_statements). What idling costs, for
each worker and second, stands in a table of its own. It passes where a job costs database and web at most `DEARER`
times as much on the most workers as on the fewest, and the jobs a second grow to `STRAIGHT` of a straight line.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
import psutil
import sqlalchemy as sa

from benchmarks.databases import fresh
from benchmarks.service import ROOT, Service
from tests.app.double import script
from tests.cluster.postgres import Postgres

DEARER = 1.25
"""A fifth of scatter is usual on a machine that others use; a cost that grew with the workers would be eight times."""
STRAIGHT = 0.8
"""Two cores serve web, database and eight workers' own work beside the sleep."""
IDLE_SECONDS = 10.0
CLIENTS = 4
WORKER = [sys.executable, "-m", "tests.app.double", "--parent-pid", str(os.getpid())]


@dataclass(frozen=True)
class Spent:
    """What was used between two moments, or a difference or a share of that."""

    seconds: float
    database_cpu: float
    web_cpu: float
    worker_cpu: float
    queries: float

    def minus(self, other: Spent, times: float = 1.0) -> Spent:
        return Spent(*(a - times * b for a, b in zip(self.figures(), other.figures(), strict=True)))

    def over(self, count: float) -> Spent:
        return Spent(*(figure / count for figure in self.figures()))

    def figures(self) -> tuple[float, ...]:
        return (self.seconds, self.database_cpu, self.web_cpu, self.worker_cpu, self.queries)


class Installation:
    """A database, one web process and some workers with one slot each."""

    def __init__(self, folder: Path, postgres: Postgres, workers: int) -> None:
        self.postgres, self.count = postgres, workers
        self._engine = sa.create_engine(postgres.url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
        settings = {"database_url": postgres.url, "queue_limit_jobs": 100_000, "submissions_per_minute_limit": 0}
        self.web = WebOnly(folder, **settings)
        self.client = httpx.Client(base_url=self.web.url, timeout=60)
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_workers(self) -> None:
        with (self.web.data_dir / "workers.log").open("ab") as log:
            for _ in range(self.count):
                started = subprocess.Popen(WORKER, env=self.web.environment | self.web.where, cwd=ROOT, stderr=log)
                self.workers.append(started)
        self.client.get("/health/live")  # answered once the tables are there
        self.until(lambda: self.number("SELECT count(*) FROM workers") == self.count)
        self.until(lambda: self.client.get("/health/ready").status_code == 200)

    def number(self, query: str) -> float:
        with self._engine.connect() as connection:
            return float(connection.scalar(sa.text(query)) or 0)

    def until(self, condition: Callable[[], bool], seconds: float = 300, pause_s: float = 0.25) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError((self.web.data_dir / "workers.log").read_text()[-3000:])
            time.sleep(pause_s)

    def spent(self) -> Spent:
        """What has been used so far."""
        queries = self.number("SELECT sum(calls) FROM pg_stat_statements")
        web = self.web.tree()["web"]
        workers = [psutil.Process(worker.pid) for worker in self.workers]
        cpu = self.postgres.cpu_seconds()
        return Spent(time.monotonic(), cpu, sum(map(_cpu, web)), sum(map(_cpu, workers)), queries)

    def connections(self) -> float:
        """What all processes hold open, our own look not among them."""
        return self.number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") - 1

    def submit(self, count: int, seconds: float, megabytes: float) -> None:
        padding = b" " * round(megabytes * 1e6)

        def one(number: int) -> None:
            model = script(seconds=seconds, name=f"m{number}") + padding
            files = {"model": ("m.keras", model), "batch": ("b.npz", b"PK\x03\x04")}
            answer = self.client.post("/diagnose", files=files, headers={"Prefer": "respond-async"})
            answer.raise_for_status()

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(one, range(count)))

    def all_ended(self) -> bool:
        return not self.number("SELECT count(*) FROM diagnoses WHERE status IN ('queued', 'running')")

    def close(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(30)
        self.client.close()
        self.web.stop()
        self._engine.dispose()


class WebOnly(Service):
    """A server without a worker of its own."""

    @property
    def where(self) -> dict[str, str]:
        return {"PHASEGAP_DATA_DIR": str(self.data_dir), "PYTHONPATH": str(ROOT)}

    def command(self) -> list[str]:
        return [*super().command(), "--no-worker"]


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def installation(workers: int) -> Iterator[Installation]:
    """A fresh one, over an empty database, that ends with the block."""
    with fresh(shared_preload_libraries="pg_stat_statements") as (postgres, data):
        postgres.execute("CREATE EXTENSION pg_stat_statements")
        found = Installation(data, postgres, workers)
        try:
            found.start_workers()
            yield found
        finally:
            found.close()


def measure(workers: int, jobs_each: int, seconds: float, megabytes: float) -> tuple[Spent, Spent, float]:
    """What so many workers cost idle, for a second; what a job of theirs costs in all, while all are busy; and the
    connections to the database at the end.
    """
    with installation(workers) as here:
        time.sleep(2.0)  # whatever starting left to do
        before = here.spent()
        time.sleep(IDLE_SECONDS)
        watched = here.spent().minus(before)
        idle = watched.over(watched.seconds)
        before, count = here.spent(), workers * jobs_each
        here.submit(count, seconds, megabytes)
        here.until(here.all_ended)
        busy = here.spent().minus(before)
        return idle, busy.over(count), here.connections()


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"\n{title}")
    for row in (head, *rows):
        print("  ".join(f"{cell:>12}" for cell in row))


def show(found: dict[int, tuple[Spent, Spent, float]], title: str) -> None:
    """Print both tables."""
    jobs, idling = [], []
    for n, (idle, job, connections) in found.items():
        cpu = [f"{1000 * seconds:.1f}" for seconds in (job.database_cpu, job.web_cpu, job.worker_cpu)]
        jobs.append([str(n), f"{1 / job.seconds:.2f}", *cpu, f"{job.queries:.0f}", f"{connections:.0f}"])
        each = [f"{1000 * idle.database_cpu / n:.1f}", f"{1000 * idle.worker_cpu / n:.1f}", f"{idle.queries / n:.0f}"]
        idling.append([str(n), *each, f"{1000 * idle.web_cpu:.1f}"])
    head = ["workers", "jobs/s", "database ms", "web ms", "worker ms", "queries", "connections"]
    table(f"{title}; processor time in ms a job", head, jobs)
    head = ["workers", "database ms", "worker ms", "queries", "web ms"]
    table("Idle: for each worker and second; web for a second, all of it", head, idling)


def verdict(found: dict[int, tuple[Spent, Spent, float]]) -> bool:
    """Say whether growth is free, and of what it is not."""
    few, many = min(found), max(found)
    one, all_of_them = found[few][1], found[many][1]
    passed = True
    for name, a, b in (
        ("database's processor time", one.database_cpu, all_of_them.database_cpu),
        ("web's processor time", one.web_cpu, all_of_them.web_cpu),
        ("queries", one.queries, all_of_them.queries),
    ):
        ok = b <= DEARER * a
        print(f"{name} a job, {many} workers against {few}: {b / a:.2f} times ({'flat' if ok else 'NOT FLAT'})")
        passed &= ok
    straight = (one.seconds / all_of_them.seconds) / (many / few)
    ok = straight >= STRAIGHT
    print(
        f"jobs a second, {many} workers against {few}: {straight:.0%} of a straight line ({'ok' if ok else 'TOO FEW'})"
    )
    return passed and ok


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--jobs-each", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a guest sleeps")
    parser.add_argument("--megabytes", type=float, default=0.0, help="size of each model file")
    asked = parser.parse_args()
    found = {}
    for count in asked.workers:
        found[count] = measure(count, asked.jobs_each, asked.seconds, asked.megabytes)
        print(f"{count} workers measured", file=sys.stderr, flush=True)
    show(found, f"A job of {asked.seconds:g} s with {asked.megabytes:g} MB, {asked.jobs_each} for each worker")
    print()
    return 0 if verdict(found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
