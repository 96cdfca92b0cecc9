"""The keys as a web process holds them: in memory, looked at anew every other second.

A request costs no query. A key that is revoked or made is known everywhere within `LOOK_SECONDS`, here at once; one
small query tells whether anything has changed. While the database is away the keys of before are good for a while, and
then nobody is let in: it must not open by failing.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.errors import NotReady
from app.jobs.database import Database, db_now
from app.tenancy.models import ApiKey

LOOK_SECONDS = 2.0
STALE_SECONDS = 60.0
"""How long keys are good that could not be looked at again: a restart of the database takes less."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """All keys at one moment: of our clock, and of the database's."""

    taken_s: float
    now_s: float
    mark: tuple[int, int]
    by_digest: dict[str, ApiKey] = field(default_factory=dict)

    @property
    def any_was_made(self) -> bool:
        """Whether there is a key, be it revoked or expired: a service does not open again because its keys end."""
        return bool(self.by_digest)

    def key(self, digest: str) -> ApiKey | None:
        """The key with this digest, if it is good now."""
        key = self.by_digest.get(digest)
        if key is None or key.revoked_at is not None:
            return None
        now_s = self.now_s + time.monotonic() - self.taken_s
        return key if key.expires_at is None or key.expires_at > now_s else None


class Keyring:
    """Gives the newest snapshot there is."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._snapshot: Snapshot | None = None
        self._look_at_s = 0.0
        self._looking = asyncio.Lock()

    async def current(self) -> Snapshot:
        """The keys, not older than LOOK_SECONDS.

        Raises:
            NotReady: they could not be looked at for longer than they may be trusted.
        """
        if self._snapshot is None or time.monotonic() >= self._look_at_s:
            async with self._looking:
                if self._snapshot is None or time.monotonic() >= self._look_at_s:
                    await asyncio.to_thread(self._look)
        assert self._snapshot is not None
        return self._snapshot

    def look_again(self) -> None:
        """Something has changed: look before the next request is let in."""
        self._look_at_s = 0.0

    def _look(self) -> None:
        try:
            self._snapshot = self._taken(self._snapshot)
        except SQLAlchemyError as error:
            age_s = time.monotonic() - self._snapshot.taken_s if self._snapshot else STALE_SECONDS
            log.warning("keys_not_read", age_s=round(age_s, 1), reason=type(error).__name__)
            if age_s >= STALE_SECONDS:
                raise NotReady("The service cannot look keys up just now. Try again later.") from error
        self._look_at_s = time.monotonic() + LOOK_SECONDS

    def _taken(self, before: Snapshot | None) -> Snapshot:
        count = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(ApiKey.version), 0), db_now())
        with self._database.transaction() as session:
            taken_s = time.monotonic()
            number, versions, now_s = session.execute(count.select_from(ApiKey)).one()
            if before is not None and before.mark == (number, versions):
                return Snapshot(taken_s, now_s, before.mark, before.by_digest)
            keys = {key.digest: key for key in session.scalars(sa.select(ApiKey))}
        return Snapshot(taken_s, now_s, (len(keys), sum(key.version for key in keys.values())), keys)
