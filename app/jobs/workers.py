"""Which workers live. A worker holds a file lock (which its death releases, however it dies) and renews a heartbeat
row.

On the host that shares the data folder the lock tells at once; for a worker on another host the heartbeat does, by the
database's clock. A worker whose row was taken away must stop: its jobs have been given to others. While the database
is away nobody can renew anything, so silence says nothing until a lease after it has come back.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.jobs.database import Database, db_now, hits
from app.jobs.models import Worker
from app.locks import ProcessLock, owner_is_dead

Capabilities = dict[str, Any]
"""What a worker can do, as `needs.serves` reads it: devices, memory per guest, Keras 2, formats."""


class WorkerRegistry:
    """The heartbeat rows and lock files of all workers."""

    def __init__(self, database: Database, locks_dir: Path, lease_seconds: float) -> None:
        self._database = database
        self._locks_dir = locks_dir
        self.lease_seconds = lease_seconds
        self._patient_until_s = 0.0
        self.be_patient()  # who has just started may have done so because the database is back: others were away, too

    def join(
        self, slots: int, isolation: str | None, edition: str | None = None, capabilities: Capabilities | None = None
    ) -> tuple[str, ProcessLock]:
        """Make this process known as a worker, with the edition of the analysis that it runs and what it can do."""
        worker_id = f"{socket.gethostname()[:40]}-{uuid.uuid4().hex[:12]}"
        lock = ProcessLock(self._lock_path(worker_id))
        row = Worker(id=worker_id, host=socket.gethostname()[:255], pid=os.getpid(), slots=slots)
        row.isolation, row.edition, row.capabilities = isolation, edition, capabilities
        row.started_at = row.heartbeat_at = db_now()
        with self._database.transaction() as session:
            session.add(row)
        return worker_id, lock

    def beat(self, worker_id: str) -> bool:
        """Say that the worker lives. False: it was declared dead and must stop."""
        changed = sa.update(Worker).where(Worker.id == worker_id).values(heartbeat_at=db_now())
        with self._database.transaction() as session:
            return hits(session, changed)

    def tell(self, worker_id: str, slots: int, capabilities: Capabilities) -> None:
        """Say anew what a worker can do."""
        changed = sa.update(Worker).where(Worker.id == worker_id).values(slots=slots, capabilities=capabilities)
        with self._database.transaction() as session:
            session.execute(changed)

    def leave(self, worker_id: str) -> None:
        """Take a worker off the list."""
        with self._database.transaction() as session:
            session.execute(sa.delete(Worker).where(Worker.id == worker_id))

    def be_patient(self) -> None:
        """The database was away just now: hold nobody's silence against them for the length of a lease."""
        self._patient_until_s = time.monotonic() + self.lease_seconds

    def live(self) -> list[Worker]:
        """The workers that live, as far as rows, clock and locks tell."""
        return [worker for worker, _ in self.live_with_silence()]

    def live_with_silence(self) -> list[tuple[Worker, float]]:
        """The same, each with the seconds since its last heartbeat."""
        return [(worker, silence_s) for worker, silence_s in self._rows() if not self._is_dead(worker, silence_s)]

    def bury(self) -> list[str]:
        """Remove the rows and lock files of dead workers, and return their ids."""
        rows = self._rows()
        dead = [worker.id for worker, silence_s in rows if self._is_dead(worker, silence_s)]
        for worker_id in dead:
            self.leave(worker_id)
            self._lock_path(worker_id).unlink(missing_ok=True)
        self._clear_locks({worker.id for worker, _ in rows})
        return dead

    def _clear_locks(self, known: Collection[str]) -> None:
        """Remove the files of who was killed between lock and row, or while its row was being removed."""
        for path in self._locks_dir.glob("*.lock"):
            if path.stem not in known and owner_is_dead(path):
                path.unlink(missing_ok=True)

    def _rows(self) -> list[tuple[Worker, float]]:
        with self._database.transaction() as session:
            return [(row[0], row[1]) for row in session.execute(sa.select(Worker, db_now() - Worker.heartbeat_at))]

    def _is_dead(self, worker: Worker, silence_s: float) -> bool:
        silent = silence_s > self.lease_seconds and time.monotonic() >= self._patient_until_s
        return silent or owner_is_dead(self._lock_path(worker.id)) is True

    def _lock_path(self, worker_id: str) -> Path:
        return self._locks_dir / f"{worker_id}.lock"
