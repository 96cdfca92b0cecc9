"""Several workers on one PostgreSQL database, as beyond one machine; they share the data folder's files."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.app.served import DOUBLE, ROOT, Server
from tests.cluster.fleet import Fleet
from tests.cluster.hosts import Network, why_not
from tests.cluster.postgres import Postgres, programs, running

LEASE_S = 4.0
QUICK = {
    "reconcile_seconds": 0.3,
    "heartbeat_seconds": 0.3,
    "cancel_poll_seconds": 0.1,
    "lease_seconds": LEASE_S,
    "slots": 4,
    "attempts_limit": 10,
    "sweep_seconds": 1.0,
}


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    if programs() is None:
        pytest.skip("PostgreSQL's programs are not here: install Debian's postgresql")
    with tempfile.TemporaryDirectory() as folder:  # pytest keeps other users out of its own
        yield from running(Path(folder))


class Cluster(Server):
    """A server with further workers beside its own."""

    def __init__(self, data_dir: Path, workers: int, **settings: Any) -> None:
        self.workers: list[subprocess.Popen[bytes]] = []
        super().__init__(data_dir, **settings)
        for _ in range(workers):
            self.add_worker()

    def add_worker(self) -> None:
        command = [*DOUBLE, "--parent-pid", str(os.getpid())]
        with self.data_dir.with_name("workers.log").open("ab") as log:
            self.workers.append(subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=log, stderr=log))

    def stop(self) -> int:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        return super().stop()


@pytest.fixture
def cluster(postgres: Postgres, tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Starts one with so many workers beside its own; it ends with the test."""
    started: list[Cluster] = []

    def begin(workers: int, **settings: Any) -> Cluster:
        found = Cluster(tmp_path / "data", workers, database_url=postgres.url, **(QUICK | settings))
        started.append(found)
        return found.wait_ready()  # type: ignore[return-value]  # it returns itself

    yield begin
    for server in started:
        server.stop()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Starts two hosts and a database between them; they end with the test."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    if programs() is None:
        pytest.skip("PostgreSQL's programs are not here: install Debian's postgresql")
    with ExitStack() as ending, tempfile.TemporaryDirectory() as folder:
        network = ending.enter_context(closing(Network()))
        postgres = ending.enter_context(contextmanager(running)(Path(folder), network.address))

        def begin(skew: int = 0) -> Fleet:
            begun = Fleet(network, postgres, tmp_path, skew)
            ending.callback(begun.stop)
            return begun.ready()

        yield begin
