"""Who comes first: ranks in the queue, shares of owners, and jobs that are held back until their owner has room.

A job gets its rank once, when it is accepted, and keeps it whatever becomes of its runs. Priorities come first; within
one, owners take turns: an owner's next job stands one step behind its last one that waits, and never before the job
that is next in line. So a hundred jobs of one owner stand at a hundred steps, and a single job of another goes
between the first two (self-clocked fair queueing, with jobs as the measure). Jobs of nobody stand in the order of their
arrival.

An owner's limit is kept twice. Only as many of its jobs of one kind are in the queue as may run; the others are *held*,
and one is let in when one has ended. And a claim is refused that would make too many run, as jobs of several kinds
could.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs.database import hits
from app.jobs.engine import Engine
from app.jobs.models import Diagnosis
from app.placing import HIGHEST_PRIORITY, PlacingSettings

STEPS = 200_000_000
"""Ranks of one priority: ten of them fit into the queue's 31 bits. Steps begin again where nothing waits."""
OWNER_LOCK = 7_261_035
"""The first half of PostgreSQL's advisory locks on owners."""


@dataclass(frozen=True)
class Share:
    """What one owner may have: jobs that run at a time (None: any number), and the highest priority."""

    concurrency_limit: int | None
    priority: int


Shares = Callable[[Session, str], Share]
"""The share of an owner; "" is who sends no key."""


def shares_by_settings(settings: PlacingSettings) -> Shares:
    """The same share for every owner; `app.tenancy.shares` adds what single keys may have."""
    limit = settings.key_concurrency_limit or None
    everybody, nobody = Share(limit, settings.key_priority), Share(None, settings.key_priority)
    return lambda session, owner: everybody if owner else nobody


class Line:
    """Ranks and lets in. All of it happens in transactions of its callers'."""

    def __init__(self, engine: Engine, shares: Shares) -> None:
        self._engine = engine
        self.share_of = shares

    def place(self, session: Session, diagnosis: Diagnosis, share: Share) -> None:
        """Give a new job of an owner with this share its rank, before it is flushed, and say whether it is held."""
        first = (HIGHEST_PRIORITY - diagnosis.priority) * STEPS
        diagnosis.rank = first + 1
        if diagnosis.owner:
            self._lock(session, diagnosis.owner)
            diagnosis.rank = min(first + STEPS, self._next_rank(session, diagnosis, first))
            diagnosis.held = _room(session, diagnosis.owner, diagnosis.queue, share.concurrency_limit) <= 0

    def _next_rank(self, session: Session, diagnosis: Diagnosis, first: int) -> int:
        level = (Diagnosis.rank > first, Diagnosis.rank <= first + STEPS)
        waiting = (Diagnosis.status == "queued", Diagnosis.queue == diagnosis.queue, *level)
        next_one = sa.select(sa.func.min(Diagnosis.rank)).where(*waiting, Diagnosis.held == sa.false())
        own_last = sa.select(sa.func.max(Diagnosis.rank)).where(*waiting, Diagnosis.owner == diagnosis.owner)
        now, last = session.execute(sa.select(next_one.scalar_subquery(), own_last.scalar_subquery())).one()
        return max(first + 1, now or 0, (last or 0) + 1)

    def enter(self, session: Session, diagnosis_id: str) -> None:
        """Put a job into the queue as its row says: its run, its queue, its rank. Not while it is held, nor one of an
        earlier version, which has no place until `Places` gives it one.
        """
        columns = (Diagnosis.attempt, Diagnosis.queue, Diagnosis.rank, Diagnosis.held)
        row = session.execute(sa.select(*columns).where(Diagnosis.id == diagnosis_id)).one()
        if row.queue and not row.held:
            self._engine.enqueue(session, (diagnosis_id, row.attempt), row.queue, row.rank)

    def may_run(self, session: Session, owner: str) -> bool:
        """Whether one more job of an owner may run. From here to the end of the transaction no other one begins."""
        limit = self.share_of(session, owner).concurrency_limit if owner else None
        if limit is None:
            return True
        self._lock(session, owner)
        running = sa.select(sa.func.count()).where(Diagnosis.owner == owner, Diagnosis.status == "running")
        return (session.scalar(running) or 0) < limit

    def let_in(self, session: Session, owner: str) -> int:
        """Let in held jobs of an owner as far as there is room; returns how many."""
        held: Any = (Diagnosis.owner == owner, Diagnosis.status == "queued", Diagnosis.held == sa.true())
        queues = list(session.scalars(sa.select(Diagnosis.queue).where(*held).distinct())) if owner else []
        if not queues:
            return 0
        count = 0
        self._lock(session, owner)
        limit = self.share_of(session, owner).concurrency_limit
        for queue in queues:
            room = min(max(0, _room(session, owner, queue, limit)), 1000)
            first = sa.select(Diagnosis.id).where(*held, Diagnosis.queue == queue)
            for diagnosis_id in list(session.scalars(first.order_by(Diagnosis.rank).limit(room))):
                count += self._let_in(session, diagnosis_id)
        return count

    def _let_in(self, session: Session, diagnosis_id: str) -> int:
        held = (Diagnosis.id == diagnosis_id, Diagnosis.status == "queued", Diagnosis.held == sa.true())
        if not hits(session, sa.update(Diagnosis).where(*held).values(held=False)):
            return 0
        self.enter(session, diagnosis_id)
        return 1

    @staticmethod
    def _lock(session: Session, owner: str) -> None:
        """One at a time for each owner, to the end of the transaction; SQLite has one writer anyway."""
        if session.get_bind().dialect.name == "postgresql":
            session.execute(sa.select(sa.func.pg_advisory_xact_lock(OWNER_LOCK, sa.func.hashtext(owner))))


def _room(session: Session, owner: str, queue: str, limit: int | None) -> int:
    """How many more jobs of an owner with this limit may be in this queue; the caller holds the owner's lock."""
    if limit is None:
        return STEPS
    waiting = sa.and_(Diagnosis.status == "queued", Diagnosis.queue == queue, Diagnosis.held == sa.false())
    open_ = sa.select(sa.func.count()).where(Diagnosis.owner == owner, sa.or_(Diagnosis.status == "running", waiting))
    return limit - (session.scalar(open_) or 0)
