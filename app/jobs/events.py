"""What happened to a diagnosis, in order: written beside each change of its row, read by event streams.

An event is written in the transaction that changed the diagnosis' row, after the change: the row's lock keeps the
numbers in order whoever writes.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs.database import Database, db_now
from app.jobs.models import Event
from app.jobs.ringing import has_news
from app.jobs.states import ENDED

KINDS = ("queued", "running", "progress", "succeeded", "failed", "cancelled")


def state(status: str, stage: str, fraction: float, note: str | None = None) -> dict[str, Any]:
    """What an event tells of a diagnosis; a note where there is one."""
    return {"status": status, "stage": stage, "fraction": fraction} | ({"note": note} if note else {})


def record_event(session: Session, diagnosis_id: str, kind: str, data: dict[str, Any]) -> None:
    """Append an event. Call it after changing the diagnosis' row in the same transaction."""
    last = sa.select(sa.func.coalesce(sa.func.max(Event.number), 0) + 1).where(Event.diagnosis_id == diagnosis_id)
    session.execute(
        sa.insert(Event).values(
            diagnosis_id=diagnosis_id, number=last.scalar_subquery(), at=db_now(), kind=kind, data=data
        )
    )
    if kind in ENDED:
        has_news(session, "ends")


class EventLog:
    """Reads events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def after(self, diagnosis_id: str, number: int) -> list[Event]:
        """The events with a larger number, oldest first."""
        query = (
            sa.select(Event)
            .where(Event.diagnosis_id == diagnosis_id, Event.number > number)
            .order_by(Event.number)
            .limit(500)
        )
        with self._database.transaction() as session:
            return list(session.scalars(query))
