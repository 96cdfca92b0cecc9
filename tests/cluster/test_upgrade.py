"""An upgrade without a pause: the version before migration 0005 beside this one, on one PostgreSQL database.

The old code comes from the repository's history. In a shallow clone there is none, and the test is skipped.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest

from tests.app.double import script
from tests.app.served import ROOT, Server
from tests.cluster.conftest import QUICK
from tests.cluster.postgres import Postgres

pytestmark = pytest.mark.slow

LAST_MIGRATION = "app/jobs/migrations/versions/0004_trace_context.py"
CODE = ("app", "analyzers", "tests/__init__.py", "tests/app")


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout


def old_release(folder: Path) -> Path:
    """The code as it was when migration 0004 was the last, laid out in a folder."""
    if not (ROOT / ".git").exists() or _git("rev-parse", "--is-shallow-repository").strip() == b"true":
        pytest.skip("the repository's history is not here: git fetch --unshallow, then run this test again")
    added = _git("log", "--diff-filter=A", "--format=%H", "--", LAST_MIGRATION).decode().split()[-1]
    with tarfile.open(fileobj=BytesIO(_git("archive", added, *CODE))) as tar:
        tar.extractall(folder, filter="data")
    versions = sorted((folder / "app/jobs/migrations/versions").glob("[0-9]*.py"))
    assert versions[-1].name.startswith("0004"), "a version before the migration"
    return folder


class Clients(threading.Thread):
    """Submits a job to each server that is open to clients, again and again, and notes each answer."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.open: list[Server] = []
        self.accepted: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.by_server: Counter[str] = Counter()
        self.broken: list[str] = []
        self._end = threading.Event()
        self._busy = threading.Lock()

    def run(self) -> None:
        number = 0
        while not self._end.wait(0.1):
            with self._busy:
                for server in self.open:
                    number += 1
                    self._submit(server, number)

    def close_to(self, server: Server) -> None:
        """As a load balancer does before it lets a server end."""
        with self._busy:
            self.open.remove(server)

    def finish(self) -> None:
        self._end.set()
        self.join(60)

    def _submit(self, server: Server, number: int) -> None:
        try:
            answer = server.post(script(seconds=0.3, name=f"n{number}"), headers={"Prefer": "respond-async"})
            listed = server.get("/diagnoses?limit=5")
        except Exception as error:
            self.broken.append(repr(error))
            return
        self.statuses.update([answer.status_code, listed.status_code])
        self.by_server[server.url] += 1
        if answer.status_code in (200, 202):
            self.accepted.append(str(answer.json()["id"]))


def _migrate(postgres: Postgres, data_dir: Path, *options: str) -> int:
    command = [sys.executable, "-m", "app.cli", "migrate", "--data-dir", str(data_dir), *options]
    environment = {"PHASEGAP_DATABASE_URL": postgres.url, "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, timeout=120).returncode


def test_an_upgrade_loses_no_job_and_answers_nothing_with_a_server_error(postgres: Postgres, tmp_path: Path) -> None:
    shared = {"database_url": postgres.url, "queue_limit_jobs": 10_000} | QUICK
    data_dir = tmp_path / "data"
    old = Server(data_dir, root=old_release(tmp_path / "old"), **shared)
    old.wait_ready()
    clients = Clients()
    new = None
    try:
        clients.open.append(old)
        clients.start()
        assert _migrate(postgres, data_dir, "--check") == 1, "the old version's schema is behind"
        assert _migrate(postgres, data_dir) == 0, "beside the old version, which serves"
        assert _migrate(postgres, data_dir, "--check") == 0
        new = Server(data_dir, migrate_at_start=False, **shared)
        new.wait_ready()
        before = clients.by_server[old.url]
        clients.open.append(new)
        new.until(lambda: clients.by_server[new.url] >= 10 and clients.by_server[old.url] >= before + 10)
        clients.close_to(old)
        assert old.stop() == 0
        time.sleep(1.0)
        clients.finish()
        for diagnosis_id in clients.accepted:
            assert new.ended(diagnosis_id, 60)["status"] == "succeeded"
        assert clients.broken == []
        assert set(clients.statuses) <= {200, 202}, clients.statuses
        settled = Counter(row[0] for row in postgres.rows("SELECT diagnosis_id FROM settlements"))
        assert settled == Counter(clients.accepted)
        print(f"{len(clients.accepted)} jobs, by server {dict(clients.by_server)}, statuses {dict(clients.statuses)}")
    finally:
        clients.finish()
        for server in (old, new):
            if server is not None and server.process.poll() is None:
                server.stop()
