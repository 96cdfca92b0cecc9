"""Making, listing and revoking keys.

A secret has 256 random bits, so its plain SHA-256 tells nobody what it was; it is shown once and kept nowhere.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.callers import Quota, Role
from app.errors import InvalidRequest, NotFound
from app.jobs.database import Database, db_now
from app.tenancy.models import ApiKey

SECRET_PREFIX = "pgk_"  # noqa: S105 - what a secret begins with, for scanners that look for leaked ones
ID_BYTES = 6
SECRET_BYTES = 32
DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class NewKey:
    """What a key is to be. `owner_of`: the id of a key whose diagnoses it is to share, such as the one it follows."""

    name: str
    roles: frozenset[Role]
    expires_days: float | None = None
    owner_of: str | None = None
    quota: Quota = field(default_factory=Quota)
    concurrency_limit: int | None = None
    priority: int = 0


class KeyStore:
    """The keys in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, wanted: NewKey, by: str) -> tuple[ApiKey, str]:
        """Make a key; returns it and its secret, which nobody can read again.

        Raises:
            InvalidRequest: it would have no role.
            NotFound: the key that it is to share with is not there.
        """
        if not wanted.roles:
            raise InvalidRequest(f"A key needs at least one role: {', '.join(Role)}.")
        key_id = f"key_{secrets.token_hex(ID_BYTES)}"
        secret = f"{SECRET_PREFIX}{secrets.token_urlsafe(SECRET_BYTES)}"
        with self._database.transaction() as session:
            owner = _key(session, wanted.owner_of).owner if wanted.owner_of is not None else key_id
            key = ApiKey(id=key_id, owner=owner, digest=digest_of(secret.encode()), created_by=by[:100], version=1)
            _describe(key, wanted)
            key.created_at = db_now()
            if wanted.expires_days is not None:
                key.expires_at = db_now() + wanted.expires_days * DAY_SECONDS
            session.add(key)
            session.flush()
            session.refresh(key)
        return key, secret

    def all(self) -> list[ApiKey]:
        """Every key that was ever made, newest first."""
        with self._database.transaction() as session:
            return list(session.scalars(sa.select(ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.id)))

    def revoke(self, key_id: str) -> ApiKey:
        """Let a key open nothing any more; one that was revoked stays so.

        Raises:
            NotFound: there is no such key.
        """
        with self._database.transaction() as session:
            key = _key(session, key_id)
            if key.revoked_at is None:
                key.revoked_at, key.version = db_now(), key.version + 1
                session.flush()
                session.refresh(key)
            return key


def newest_key(session: Session, owner: str) -> ApiKey | None:
    """The newest of an owner's keys that was not revoked: its limit and priority are how the owner's jobs are run."""
    keys = sa.select(ApiKey).where(ApiKey.owner == owner, ApiKey.revoked_at.is_(None))
    return session.scalar(keys.order_by(ApiKey.created_at.desc(), ApiKey.id).limit(1))


def digest_of(secret: bytes) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret).hexdigest()


def _describe(key: ApiKey, wanted: NewKey) -> None:
    key.name, key.roles = wanted.name, ",".join(sorted(wanted.roles))
    key.jobs_limit, key.bytes_limit = wanted.quota.jobs, wanted.quota.bytes
    key.compute_seconds_limit = wanted.quota.compute_seconds
    key.concurrency_limit, key.priority = wanted.concurrency_limit, wanted.priority


def _key(session: Session, key_id: str) -> ApiKey:
    key = session.get(ApiKey, key_id)
    if key is None:
        raise NotFound(f"There is no key {key_id[:64]!r}. `phasegap keys list` has all of them.")
    return key
