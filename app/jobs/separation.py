"""Keeps owners apart below all queries: what is not the caller's is not there.

Each statement of a session that names diagnoses, their events or their deliveries gets the condition that they are the
caller's (`app.callers.only_owner`). Written once here, no query can forget it; who asks for another's diagnosis finds
what he finds for one that never was.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker, with_loader_criteria

from app.callers import only_owner
from app.jobs.models import Delivery, Diagnosis, Event


def keep_apart(sessions: sessionmaker[Session]) -> None:
    """Have all sessions of this factory narrowed down."""
    sa.event.listen(sessions, "do_orm_execute", _narrow)


def _narrow(state: ORMExecuteState) -> None:
    owner = only_owner()
    if owner is None or not (state.is_select or state.is_update or state.is_delete):
        return
    state.statement = state.statement.options(*_conditions(owner))


def _conditions(owner: str) -> list[Any]:
    table = Diagnosis.__table__
    own = sa.select(table.c.id).where(table.c.owner == owner)
    return [
        with_loader_criteria(Diagnosis, Diagnosis.owner == owner),
        with_loader_criteria(Event, Event.diagnosis_id.in_(own)),
        with_loader_criteria(Delivery, Delivery.diagnosis_id.in_(own)),
    ]
