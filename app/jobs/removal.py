"""Taking diagnoses away: on request, and when they have expired.

What runs or waits becomes a bare `cancelled` row, so that who still polls it learns why; its contents go at once,
the row itself with the retention time or a second request. What has ended goes entirely.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.jobs import ledger, tallies
from app.jobs.database import Database, db_now, hits
from app.jobs.engine import Engine
from app.jobs.events import record_event, state
from app.jobs.models import Diagnosis, Event, IdempotencyKey, Settlement
from app.jobs.states import ENDED, OPEN
from app.jobs.store import JobStore

BARE: dict[str, Any] = {
    "options": {},
    "note": None,
    "traceparent": None,
    "model_stem": "",
    "model_name": "",
    "content_hash": "",
    "model_sha256": "",
    "batch_sha256": "",
    "model_bytes": 0,
    "batch_bytes": 0,
}
"""What is left of a diagnosis' contents in the row that says that it was cancelled."""


class Files(Protocol):
    """What is needed of the blob store here."""

    def probe(self) -> None: ...
    def remove(self, diagnosis_id: str) -> None: ...
    def sweep(self, known: Callable[[list[str]], Collection[str]]) -> int: ...


class Remover:
    """Removes rows, the queue's rows and files, in an order that a crash in between cannot turn into a ghost."""

    def __init__(self, database: Database, engine: Engine, store: JobStore, files: Files) -> None:
        self._database = database
        self._engine = engine
        self._store = store
        self._files = files

    def remove(self, diagnosis_id: str) -> None:
        """Cancel the diagnosis if it has not ended, and remove everything it has.

        Raises:
            NotFound: there is no such diagnosis.
            StoreAway: its files cannot be reached, so nothing was done.
        """
        self._store.get(diagnosis_id)
        self._files.probe()  # who is told that it is gone must not find it kept because nobody could get at it
        self._remove(diagnosis_id)
        self._database.scrub()

    def _remove(self, diagnosis_id: str) -> None:
        attempts = self._store.get(diagnosis_id).attempt
        self._engine.forget(diagnosis_id, attempts)
        with self._database.transaction() as session:
            if not _cancel(session, diagnosis_id):
                session.execute(sa.delete(Diagnosis).where(Diagnosis.id == diagnosis_id))
        self._engine.forget(diagnosis_id, attempts + 1)  # the reconciler may have enqueued it in between
        self._files.remove(diagnosis_id)

    def expire(self, retention_seconds: float) -> int:
        """Remove what ended longer ago than is kept; returns how many."""
        # Found along the index of creation, from the oldest on, up to the first that is too young to have expired. The
        # clock is asked once: one that is asked for every row keeps PostgreSQL from using an index.
        before = sa.select(db_now() - retention_seconds).scalar_subquery()
        query = (
            sa.select(Diagnosis.id)
            .where(Diagnosis.created_at < before, Diagnosis.finished_at < before, Diagnosis.status.in_(ENDED))
            .order_by(Diagnosis.created_at)
            .limit(500)
        )
        with self._database.transaction() as session:
            expired = list(session.scalars(query))
        for diagnosis_id in expired:
            with suppress(NotFound):  # the sweep of another process was quicker
                self._remove(diagnosis_id)
        self._database.scrub()  # in any case: a reader may have kept an earlier removal from doing so
        return len(expired)

    def sweep_files(self) -> int:
        """Remove files that belong to no diagnosis: what a crash left between file and row."""
        return self._files.sweep(self._store.known_among)


def _cancel(session: Session, diagnosis_id: str) -> bool:
    """Turn an open job into a bare `cancelled` row."""
    changed = (
        sa.update(Diagnosis)
        .where(Diagnosis.id == diagnosis_id, Diagnosis.status.in_(OPEN))
        .values(status="cancelled", finished_at=db_now(), stage="done", **BARE)
    )
    if not hits(session, changed):
        return False
    ledger.charge_run(session, diagnosis_id)
    session.execute(sa.delete(IdempotencyKey).where(IdempotencyKey.diagnosis_id == diagnosis_id))
    record_event(session, diagnosis_id, "cancelled", state("cancelled", "done", 1.0))
    _drop_earlier_events(session, diagnosis_id)
    attempt = sa.select(Diagnosis.attempt).where(Diagnosis.id == diagnosis_id).scalar_subquery()
    session.execute(
        sa.insert(Settlement).values(
            diagnosis_id=diagnosis_id, attempt=attempt, status="cancelled", settled_by="client", at=db_now()
        )
    )
    tallies.add(session, [(tallies.JOBS, tallies.job_labels("cancelled", None, None, None), 1.0)])
    return True


def _drop_earlier_events(session: Session, diagnosis_id: str) -> None:
    session.execute(sa.delete(Event).where(Event.diagnosis_id == diagnosis_id, Event.kind != "cancelled"))
