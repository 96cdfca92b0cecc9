"""What was used in a period, and by whom: the ledger's sums with the names and limits that people know."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.callers import Caller, Quota
from app.jobs.database import Database, db_now
from app.jobs.ledger import Period, Used, period_at, used_by_all, used_in
from app.tenancy.models import ApiKey, AuditLine
from app.tenancy_settings import TenancySettings


@dataclass(frozen=True)
class OwnerUsage:
    """What one owner used, and what it may. `name` is that of its newest key, or as it was seen last."""

    owner: str
    name: str
    used: Used
    quota: Quota


def default_quota(settings: TenancySettings) -> Quota:
    """What a key without a quota of its own may use, and a bearer of a token."""
    limits = settings.quota_jobs, settings.quota_bytes, settings.quota_compute_seconds
    return Quota(*limits, settings.quota_period)


class Usages:
    """Reads the ledger."""

    def __init__(self, database: Database, otherwise: Quota) -> None:
        self._database = database
        self._otherwise = otherwise

    def period(self, at_s: float | None = None) -> Period:
        """The period of a moment, by default of now."""
        with self._database.transaction() as session:
            now_s = session.scalar(sa.select(db_now())) if at_s is None else at_s
        return period_at(float(now_s or 0.0), self._otherwise.period)

    def own(self, caller: Caller, period: Period) -> list[OwnerUsage]:
        """Of the caller alone; nothing where nobody is known by a key."""
        if caller.is_anonymous:
            return []
        with self._database.transaction() as session:
            used = used_in(session, caller.owner, period)
        return [OwnerUsage(caller.owner, caller.name, used, caller.quota)]

    def everybody(self, period: Period) -> list[OwnerUsage]:
        """Of all who have a key or used anything, who used most first."""
        with self._database.transaction() as session:
            used = used_by_all(session, period)
            keys = {key.owner: key for key in session.scalars(sa.select(ApiKey).order_by(ApiKey.created_at))}
            found = [self._one(session, owner, keys.get(owner), used.get(owner, Used())) for owner in {*used, *keys}]
        return sorted(found, key=lambda each: (-each.used.compute_seconds, -each.used.jobs, each.owner))

    def _one(self, session: Session, owner: str, key: ApiKey | None, used: Used) -> OwnerUsage:
        if key is not None:
            return OwnerUsage(owner, key.name, used, key.quota(self._otherwise))
        seen = sa.select(AuditLine.actor).where(AuditLine.owner == owner).order_by(AuditLine.number.desc()).limit(1)
        quota = self._otherwise if owner.startswith("oidc_") else Quota()
        return OwnerUsage(owner, session.scalar(seen) or "", used, quota)
