"""The audit log: who did what, on what, when, and what came of it. Lines are added, read, and removed when old."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from app.jobs.database import Database, db_now
from app.tenancy.models import AuditLine

DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Act:
    """What is written down. `status` is that of the answer, none on the command line."""

    action: str
    outcome: str
    target: str = ""
    owner: str = ""
    key_id: str = ""
    actor: str = ""
    status: int | None = None
    address: str = ""


@dataclass(frozen=True)
class AuditFilters:
    """What a list is narrowed down to."""

    owner: str | None = None
    action: str | None = None
    target: str | None = None
    since_s: float | None = None


class AuditLog:
    """The lines in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, act: Act) -> None:
        """Write it down."""
        with self._database.transaction() as session:
            session.add(AuditLine(**vars(act), at=db_now()))

    def page(self, filters: AuditFilters, limit: int, before: int | None = None) -> list[AuditLine]:
        """The newest first, those with a smaller number than `before`."""
        query = sa.select(AuditLine).order_by(AuditLine.number.desc()).limit(limit)
        for name in ("owner", "action", "target"):
            if getattr(filters, name) is not None:
                query = query.where(getattr(AuditLine, name) == getattr(filters, name))
        if filters.since_s is not None:
            query = query.where(AuditLine.at >= filters.since_s)
        if before is not None:
            query = query.where(AuditLine.number < before)
        with self._database.transaction() as session:
            return list(session.scalars(query))

    def expire(self, days: int) -> int:
        """Remove what is older than is kept; returns how many lines."""
        old = sa.delete(AuditLine).where(AuditLine.at < db_now() - days * DAY_SECONDS)
        with self._database.transaction() as session:
            result = session.execute(old.execution_options(synchronize_session=False))
            return int(getattr(result, "rowcount", 0))
