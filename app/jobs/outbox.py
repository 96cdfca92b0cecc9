"""What listeners are still to be told. An ending is recorded as a settlement in the transaction that ends the job;
that row is the outbox: until it is marked as announced, some web process will make deliveries of it.

So nothing here can fail a diagnosis, workers know no listener, and what was not told yet outlives any process. A
delivery is taken by moving its next attempt into the future: who dies with it in hand loses nothing but that time.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.jobs.database import Database, db_now, hits
from app.jobs.models import Delivery, Diagnosis, Listener, Settlement

TOLD = ("succeeded", "failed")
"""Endings that are announced. Who cancels a diagnosis knows it, and its row keeps nothing that could be told."""
AT_A_TIME = 200
GONE = "The endpoint answered 410 Gone, so it is told nothing more until its URL changes or it is enabled again."


@dataclass(frozen=True)
class Parcel:
    """A delivery in hand: its attempt and what it tells."""

    id: str
    attempt: int
    diagnosis: Diagnosis


class Outbox:
    """The deliveries in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def join(self, listeners: Mapping[str, str]) -> None:
        """Make listeners known, by name and hash of their URL. A new one hears of endings from now on; one that was
        gone is back with another URL.
        """
        with self._database.transaction() as session:
            for name, url_hash in listeners.items():
                known = session.get(Listener, name)
                if known is None:
                    session.add(Listener(name=name, url_hash=url_hash, since=db_now()))
                elif known.url_hash != url_hash:
                    known.url_hash, known.disabled_at = url_hash, None

    def announce(self, names: Collection[str]) -> int:
        """Make deliveries of endings that have none yet, one for each listener; returns how many endings."""
        with self._database.transaction() as session:
            unannounced = (
                sa.select(Settlement)
                .where(Settlement.announced == sa.false())
                .order_by(Settlement.number)
                .limit(AT_A_TIME)
            )
            endings = list(session.scalars(unannounced))
            listeners = list(session.scalars(sa.select(Listener).where(Listener.name.in_(names)))) if endings else []
            for ending in endings:
                if _mark(session, ending):
                    _address(session, ending, listeners)
        return len(endings)

    def take(self, name: str, lease_seconds: float) -> Parcel | None:
        """The delivery of this listener that is due longest; nobody else gets it before the lease is over."""
        due = (
            sa.select(Delivery.id, Delivery.attempts, Diagnosis)
            .join(Diagnosis, Diagnosis.id == Delivery.diagnosis_id)
            .where(Delivery.listener == name, Delivery.state == "pending", Delivery.next_at <= db_now())
            .order_by(Delivery.next_at)
            .limit(1)
        )
        with self._database.transaction() as session:
            found = session.execute(due).one_or_none()
            if found is None:
                return None
            parcel = Parcel(found[0], found[1] + 1, found[2])
            taken = _held(found[0], found[1]).values(
                attempts=parcel.attempt, attempted_at=db_now(), next_at=db_now() + lease_seconds
            )
            return parcel if hits(session, taken) else None

    def delivered(self, parcel: Parcel, status_code: int) -> None:
        """It has arrived."""
        self._settle(parcel, state="delivered", status_code=status_code, reason=None)

    def postpone(self, parcel: Parcel, status_code: int | None, reason: str, wait_seconds: float) -> None:
        """It has not arrived and is tried again after a while."""
        self._settle(parcel, status_code=status_code, reason=reason, next_at=db_now() + wait_seconds)

    def bury(self, parcel: Parcel, status_code: int | None, reason: str) -> None:
        """It has not arrived and is not tried again: a dead letter."""
        self._settle(parcel, state="dead", status_code=status_code, reason=reason)

    def _settle(self, parcel: Parcel, **values: Any) -> None:
        with self._database.transaction() as session:
            hits(session, _held(parcel.id, parcel.attempt).values(**values))

    def disable(self, name: str) -> None:
        """Tell a listener nothing more; what it was to be told becomes dead letters."""
        with self._database.transaction() as session:
            session.execute(sa.update(Listener).where(Listener.name == name).values(disabled_at=db_now()))
            waiting = sa.update(Delivery).where(Delivery.listener == name, Delivery.state == "pending")
            session.execute(waiting.values(state="dead", reason=GONE, status_code=410))

    def enable(self, name: str) -> None:
        """Tell it again of what ends from now on."""
        with self._database.transaction() as session:
            session.execute(sa.update(Listener).where(Listener.name == name).values(disabled_at=None))

    def again(self, delivery_id: str) -> Delivery:
        """Send a delivery once more, with all its attempts.

        Raises:
            NotFound: there is no such delivery, or not any more.
            Conflict: it is on its way, or its listener is disabled.
        """
        with self._database.transaction() as session:
            delivery = session.get(Delivery, delivery_id)
            if delivery is None:
                raise NotFound("There is no such delivery; it goes away with its diagnosis.")
            if delivery.state == "pending":
                raise Conflict("This delivery is on its way already.")
            listener = session.get(Listener, delivery.listener)
            if listener is not None and listener.disabled_at is not None:
                raise Conflict(f"The endpoint `{delivery.listener}` is disabled; enable it first.")
            delivery.state, delivery.attempts, delivery.next_at = "pending", 0, db_now()
            session.flush()
            session.refresh(delivery)
            return delivery

    def page(
        self, state: str | None, diagnosis_id: str | None, after: tuple[float, str] | None, limit: int
    ) -> list[Delivery]:
        """Deliveries, newest first, those older than `after`."""
        query = sa.select(Delivery).order_by(Delivery.created_at.desc(), Delivery.id.desc()).limit(limit)
        if state is not None:
            query = query.where(Delivery.state == state)
        if diagnosis_id is not None:
            query = query.where(Delivery.diagnosis_id == diagnosis_id)
        if after is not None:
            query = query.where(sa.tuple_(Delivery.created_at, Delivery.id) < sa.tuple_(*after))
        with self._database.transaction() as session:
            return list(session.scalars(query))

    def listeners(self, names: Collection[str]) -> dict[str, tuple[float | None, dict[str, int]]]:
        """When each was disabled, and how many deliveries it has in each state."""
        counted = sa.select(Delivery.listener, Delivery.state, sa.func.count()).group_by(
            Delivery.listener, Delivery.state
        )
        with self._database.transaction() as session:
            rows = {row.name: row.disabled_at for row in session.scalars(sa.select(Listener))}
            counts = list(session.execute(counted))
        return {name: (rows.get(name), {row[1]: row[2] for row in counts if row[0] == name}) for name in names}


def _mark(session: Session, ending: Settlement) -> bool:
    """Whether it is ours to announce: another web process may have been quicker."""
    unmarked = sa.update(Settlement).where(Settlement.number == ending.number, Settlement.announced == sa.false())
    return hits(session, unmarked.values(announced=True))


def _address(session: Session, ending: Settlement, listeners: Collection[Listener]) -> None:
    for listener in listeners:
        if ending.status in TOLD and listener.disabled_at is None and listener.since <= ending.at:
            delivery = Delivery(id=f"dlv_{uuid.uuid4().hex}", diagnosis_id=ending.diagnosis_id, listener=listener.name)
            delivery.created_at = delivery.next_at = db_now()
            session.add(delivery)


def _held(delivery_id: str, attempts: int) -> sa.Update:
    return sa.update(Delivery).where(
        Delivery.id == delivery_id, Delivery.attempts == attempts, Delivery.state == "pending"
    )
