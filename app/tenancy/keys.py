"""Making, listing, changing and revoking keys.

A secret has 256 random bits, so its plain SHA-256 tells nobody what it was; it is shown once and kept nowhere.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.callers import Quota, Role
from app.errors import Conflict, InvalidRequest, NotFound
from app.jobs.database import Database, db_now
from app.tenancy.models import ApiKey

SECRET_PREFIX = "pgk_"  # noqa: S105 - what a secret begins with, for scanners that look for leaked ones
ID_BYTES = 6
SECRET_BYTES = 32
DAY_SECONDS = 86_400.0


Terms = Mapping[str, Any]
"""What is to be different about a key, by its columns: `roles` as a set of them, limits, priority."""


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
            key = _key(session, key_id, locked=True)
            if key.revoked_at is None:
                key.revoked_at = db_now()
                _save(session, key)
            return key

    def change(self, key_id: str, terms: Terms) -> ApiKey:
        """Give a key other roles, limits or another priority. What it used in this period stays used.

        Raises:
            InvalidRequest: nothing is to be different.
            NotFound: there is no such key.
            Conflict: it was revoked.
        """
        if not terms:
            raise InvalidRequest("Nothing was named that is to be different about the key.")
        with self._database.transaction() as session:
            key = _key(session, key_id, locked=True)
            if key.revoked_at is not None:
                raise Conflict(f"The key {key_id} is revoked; make another one with `owner_of`.")
            for name, value in terms.items():
                setattr(key, name, _written(value) if name == "roles" else value)
            _save(session, key)
            return key


def newest_key(session: Session, owner: str) -> ApiKey | None:
    """The newest of an owner's keys that was not revoked: its limit and priority are how the owner's jobs are run."""
    keys = sa.select(ApiKey).where(ApiKey.owner == owner, ApiKey.revoked_at.is_(None))
    return session.scalar(keys.order_by(ApiKey.created_at.desc(), ApiKey.id).limit(1))


def digest_of(secret: bytes) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret).hexdigest()


def _describe(key: ApiKey, wanted: NewKey) -> None:
    key.name, key.roles = wanted.name, _written(wanted.roles)
    key.jobs_limit, key.bytes_limit = wanted.quota.jobs, wanted.quota.bytes
    key.compute_seconds_limit = wanted.quota.compute_seconds
    key.concurrency_limit, key.priority = wanted.concurrency_limit, wanted.priority


def _written(roles: Collection[Role]) -> str:
    return ",".join(sorted(roles))


def _save(session: Session, key: ApiKey) -> None:
    """With a version of its own: by their sum processes see that a key has changed."""
    key.version = ApiKey.version + 1
    session.flush()
    session.refresh(key)


def _key(session: Session, key_id: str, *, locked: bool = False) -> ApiKey:
    """`locked` to the end of the transaction: two changes at once must not get one version together."""
    key = session.get(ApiKey, key_id, with_for_update=locked or None)
    if key is None:
        raise NotFound(f"There is no key {key_id[:64]!r}. `phasegap keys list` has all of them.")
    return key
