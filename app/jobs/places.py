"""Looks after jobs that wait at their places: again and again, beside the reconciler.

Three things, each once a second and each cheap where there is nothing to do. Jobs that an earlier version accepted get
a place. Owners whose held jobs have room get them let in, whatever kept that from happening when one ended. And a job
that no living worker can do is told so in its note, until one joins that can: then it is taken like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import cast

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from app.jobs.database import Database, db_now, hits
from app.jobs.engine import Engine
from app.jobs.events import record_event, state
from app.jobs.line import Line
from app.jobs.models import Diagnosis, Worker
from app.jobs.needs import Abilities, Device, missing, needs_of
from app.jobs.workers import WorkerRegistry

OLD_S = 2.0
"""Jobs of an earlier version are left alone this long: a worker of that version may be about to take them."""
AT_A_TIME = 200
UNSERVED = "No worker that is here can run this: it takes {words}. It waits until one joins."

log = structlog.get_logger(__name__)


class Places:
    """The waiting jobs, by what they need."""

    def __init__(self, database: Database, engine: Engine, line: Line, workers: WorkerRegistry) -> None:
        self._database, self._engine, self._line, self._workers = database, engine, line, workers

    def attend(self) -> None:
        """Do all three."""
        with self._database.transaction() as session:
            kinds = session.execute(
                sa.select(Diagnosis.queue, Diagnosis.held).where(Diagnosis.status == "queued").distinct()
            ).all()
        if any(not queue for queue, _ in kinds):
            self._take_over()
        if any(held for _, held in kinds):
            self._let_in()
        self._tell({queue for queue, _ in kinds if queue})

    def first_of(self, queues: Collection[str]) -> str | None:
        """Which of these queues has the waiting job that is next in line."""
        query = (
            sa.select(Diagnosis.queue)
            .where(Diagnosis.status == "queued", Diagnosis.held == sa.false(), Diagnosis.queue.in_(queues))
            .order_by(Diagnosis.rank, Diagnosis.created_at)
            .limit(1)
        )
        with self._database.transaction() as session:
            return session.scalar(query)

    def unserved(self, living: Iterable[Worker]) -> dict[str, int]:
        """Waiting jobs that none of these workers can do: how many, by what is missing."""
        query = sa.select(Diagnosis.queue, sa.func.count()).where(Diagnosis.status == "queued", Diagnosis.queue != "")
        with self._database.transaction() as session:
            counts = {row[0]: row[1] for row in session.execute(query.group_by(Diagnosis.queue))}
        everyone = [worker.capabilities for worker in living]
        found: Counter[str] = Counter()
        for queue, count in counts.items():
            if (lacking := missing(everyone, queue)) is not None:
                found[lacking] += count
        return dict(found)

    def _take_over(self) -> None:
        query = (
            sa.select(Diagnosis)
            .where(Diagnosis.status == "queued", Diagnosis.queue == "", Diagnosis.created_at < db_now() - OLD_S)
            .order_by(Diagnosis.created_at)
            .limit(AT_A_TIME)
        )
        with self._database.transaction() as session:
            waiting = list(session.scalars(query))
        for old in waiting:
            files = (old.model_file, old.model_bytes), (old.batch_file, old.batch_bytes)
            needs = needs_of(cast(Device, old.device), *files)
            self._engine.open(needs.place.queue)
            with self._database.transaction() as session:
                self._give_place(session, old, needs.place.queue)

    def _give_place(self, session: Session, old: Diagnosis, queue: str) -> None:
        """A new run in a queue of ours; the earlier version's own finds that it was overtaken."""
        new = Diagnosis(owner=old.owner, priority=old.priority, queue=queue, held=False)
        self._line.place(session, new, self._line.share_of(session, old.owner))
        changed = (
            sa.update(Diagnosis)
            .where(Diagnosis.id == old.id, Diagnosis.attempt == old.attempt, Diagnosis.status == "queued")
            .values(queue=queue, rank=new.rank, held=new.held, attempt=Diagnosis.attempt + 1)
        )
        if hits(session, changed):
            self._line.enter(session, old.id)
            log.info("job_taken_over", diagnosis_id=old.id, queue=queue)

    def _let_in(self) -> None:
        with self._database.transaction() as session:
            query = sa.select(Diagnosis.owner).where(Diagnosis.status == "queued", Diagnosis.held == sa.true())
            owners = list(session.scalars(query.distinct()))
        for owner in owners:
            with self._database.transaction() as session:
                self._line.let_in(session, owner)

    def _tell(self, queues: set[str]) -> None:
        """Where nobody lives there is nothing to tell yet: a worker that is started again is not missing."""
        living = self._workers.live() if queues else []
        if not living:
            return
        everyone = [worker.capabilities for worker in living]
        with self._database.transaction() as session:
            for queue in queues:
                self._note(session, queue, unserved_note(everyone, queue))

    @staticmethod
    def _note(session: Session, queue: str, note: str | None) -> None:
        stands = Diagnosis.note.is_(None) if note is None else sa.func.coalesce(Diagnosis.note, "") == note
        query = sa.select(Diagnosis.id).where(Diagnosis.status == "queued", Diagnosis.queue == queue, sa.not_(stands))
        for diagnosis_id in list(session.scalars(query.limit(AT_A_TIME))):
            changed = sa.update(Diagnosis).where(Diagnosis.id == diagnosis_id, Diagnosis.status == "queued")
            if hits(session, changed.values(note=note)):
                record_event(session, diagnosis_id, "queued", state("queued", "queued", 0.0) | {"note": note})


def unserved_note(everyone: Iterable[Abilities | None], queue: str) -> str | None:
    """What is said to whoever waits in a queue whose jobs none of these workers can do."""
    lacking = missing(everyone, queue)
    return None if lacking is None else UNSERVED.format(words=lacking)
