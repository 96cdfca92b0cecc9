"""What owners use, day by day: submissions and bytes as they are accepted, seconds as runs end. Quotas are held here.

A submission is charged in the transaction that accepts it, so that a quota holds however many arrive at once and what
was refused costs nothing. Removing a diagnosis gives nothing back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.callers import Quota
from app.errors import PayloadTooLarge, TooManyRequests
from app.jobs.database import Database, db_now
from app.jobs.models import Diagnosis, Event, Usage
from app.jobs.states import Submission


@dataclass(frozen=True)
class Period:
    """Days from `start` until before `end`, in UTC."""

    start: date
    end: date

    def seconds_left(self, now_s: float) -> int:
        end = datetime(self.end.year, self.end.month, self.end.day, tzinfo=UTC)
        return max(1, math.ceil(end.timestamp() - now_s))


@dataclass(frozen=True)
class Used:
    """What was used of each kind."""

    jobs: int = 0
    bytes: int = 0
    compute_seconds: float = 0.0


def period_at(now_s: float, length: Literal["day", "month"]) -> Period:
    """The day or the month of the calendar that has this moment."""
    today = datetime.fromtimestamp(now_s, tz=UTC).date()
    if length == "day":
        return Period(today, today + timedelta(days=1))
    first = today.replace(day=1)
    return Period(first, (first + timedelta(days=31)).replace(day=1))


def charge(session: Session, submission: Submission) -> None:
    """Count a submission that is being accepted, or raise TooManyRequests. Nothing is counted where nobody is known."""
    if not submission.owner:
        return
    size = submission.model_bytes + submission.batch_bytes
    now_s = _now(session)
    _add(session, submission.owner, now_s, jobs=1, bytes=size)
    if submission.quota:
        _check(session, submission.owner, submission.quota, now_s)


def charge_run(session: Session, diagnosis_id: str) -> None:
    """Count the time of a run that ends now. What a worker lost or let go is not counted: the service's own trouble."""
    last = (
        sa.select(Diagnosis.owner, Event.kind, Event.at)
        .join(Event, Event.diagnosis_id == Diagnosis.id)
        .where(Diagnosis.id == diagnosis_id, Diagnosis.owner != "", Event.kind.in_(("queued", "running")))
        .order_by(Event.number.desc())
        .limit(1)
    )
    found = session.execute(last).one_or_none()
    if found is not None and found[1] == "running":
        now_s = _now(session)
        _add(session, found[0], now_s, compute_seconds=max(0.0, now_s - found[2]))


def used_in(session: Session, owner: str, period: Period) -> Used:
    """What an owner used within a period."""
    return dict(_sums(session, period, Usage.owner == owner)).get(owner, Used())


def used_by_all(session: Session, period: Period) -> dict[str, Used]:
    """The same for everybody who used anything."""
    return dict(_sums(session, period, sa.true()))


class Ledger:
    """Looks quotas up before there is a submission."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def check_room(self, owner: str, quota: Quota, more_bytes: int) -> None:
        """Raise TooManyRequests if one more submission of so many bytes would be refused anyway."""
        if owner and quota:
            with self._database.transaction() as session:
                _check(session, owner, quota, _now(session), Used(jobs=1, bytes=more_bytes))


def _check(session: Session, owner: str, quota: Quota, now_s: float, more: Used | None = None) -> None:
    more, period = more or Used(), period_at(now_s, quota.period)
    used = used_in(session, owner, period)
    if quota.bytes is not None and more.bytes > quota.bytes:
        raise PayloadTooLarge(f"The upload is larger than the {quota.bytes} bytes that this key may send.")
    spent = [
        f"{limit:g} {what} a {quota.period}" if isinstance(limit, float) else f"{limit} {what} a {quota.period}"
        for limit, over, what in (
            (quota.jobs, used.jobs + more.jobs > (quota.jobs or 0), "submissions"),
            (quota.bytes, used.bytes + more.bytes > (quota.bytes or 0), "bytes"),
            (quota.compute_seconds, used.compute_seconds >= (quota.compute_seconds or 0), "seconds of running"),
        )
        if limit is not None and over
    ]
    if spent:
        detail = f"The quota of this key is used up: {', '.join(spent)}. The next {quota.period} begins {period.end}."
        raise TooManyRequests(f"{detail} `GET /usage` lists it.", headers=_wait(period, now_s))


def _wait(period: Period, now_s: float) -> dict[str, str]:
    return {"Retry-After": str(period.seconds_left(now_s))}


def _now(session: Session) -> float:
    return float(session.scalar(sa.select(db_now())) or 0.0)


def _add(session: Session, owner: str, now_s: float, **amounts: float) -> None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = {"jobs": 0, "bytes": 0, "compute_seconds": 0.0, **amounts}
    statement = insert(Usage).values(owner=owner, day=datetime.fromtimestamp(now_s, tz=UTC).date().isoformat(), **row)
    added = {name: getattr(Usage, name) + getattr(statement.excluded, name) for name in amounts}
    session.execute(statement.on_conflict_do_update(index_elements=["owner", "day"], set_=added))


def _sums(session: Session, period: Period, whose: sa.ColumnElement[bool]) -> list[tuple[str, Used]]:
    sums = [sa.func.sum(getattr(Usage, name)) for name in ("jobs", "bytes", "compute_seconds")]
    query = sa.select(Usage.owner, *sums).where(
        whose, Usage.day >= period.start.isoformat(), Usage.day < period.end.isoformat()
    )
    rows = session.execute(query.group_by(Usage.owner))
    return [(row[0], Used(int(row[1]), int(row[2]), float(row[3]))) for row in rows]
