"""The tables of keys and of the audit log. Times are seconds since 1970 by the database's clock."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.callers import Quota, Role
from app.jobs.models import Base


class ApiKey(Base):
    """A key, of whose secret only the digest is kept. Rows stay when a key is revoked: the audit log names them.

    `version` grows with each change, so that processes see by a sum that something has changed.
    """

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    owner: Mapped[str] = mapped_column(sa.String(64), index=True)
    digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    roles: Mapped[str] = mapped_column(sa.String(100))
    created_at: Mapped[float] = mapped_column(sa.Float)
    created_by: Mapped[str] = mapped_column(sa.String(100))
    expires_at: Mapped[float | None] = mapped_column(sa.Float)
    revoked_at: Mapped[float | None] = mapped_column(sa.Float)
    version: Mapped[int] = mapped_column(sa.Integer, default=1)
    jobs_limit: Mapped[int | None] = mapped_column(sa.BigInteger)
    bytes_limit: Mapped[int | None] = mapped_column(sa.BigInteger)
    compute_seconds_limit: Mapped[float | None] = mapped_column(sa.Float)
    concurrency_limit: Mapped[int | None] = mapped_column(sa.Integer)
    priority: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")

    @property
    def role_set(self) -> frozenset[Role]:
        """Its roles. A word that is none is left out: it gives nothing."""
        return frozenset(Role(word) for word in self.roles.split(",") if word in set(Role))

    def quota(self, otherwise: Quota) -> Quota:
        """Its own limits, and for those that it does not have the given ones."""
        return Quota(
            otherwise.jobs if self.jobs_limit is None else self.jobs_limit,
            otherwise.bytes if self.bytes_limit is None else self.bytes_limit,
            otherwise.compute_seconds if self.compute_seconds_limit is None else self.compute_seconds_limit,
            otherwise.period,
        )


class AuditLine(Base):
    """One thing that was done, or that was refused. The database lets nobody change it, see the migration."""

    __tablename__ = "audit"
    __table_args__ = (sa.Index("audit_by_owner", "owner", "number"),)

    number: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=True)
    at: Mapped[float] = mapped_column(sa.Float, index=True)
    owner: Mapped[str] = mapped_column(sa.String(64))
    key_id: Mapped[str] = mapped_column(sa.String(64))
    actor: Mapped[str] = mapped_column(sa.String(100))
    action: Mapped[str] = mapped_column(sa.String(64))
    target: Mapped[str] = mapped_column(sa.String(100))
    outcome: Mapped[str] = mapped_column(sa.String(16))
    status: Mapped[int | None] = mapped_column(sa.Integer)
    address: Mapped[str] = mapped_column(sa.String(64))
