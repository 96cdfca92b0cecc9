"""The tables. Times are seconds since 1970 by the database's clock."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All our tables; the engine's own are not among them."""


class Diagnosis(Base):
    """One accepted job. `attempt` numbers its runs and keys their outputs; `crashes` counts those that died."""

    __tablename__ = "diagnoses"
    __table_args__ = (
        sa.Index("diagnoses_newest", "created_at", "id"),
        sa.Index("diagnoses_by_status", "status", "created_at"),
        sa.Index("diagnoses_by_content", "content_hash"),
        sa.Index("diagnoses_of_owner", "owner", "created_at", "id"),
        sa.Index("diagnoses_in_line", "status", "held", "queue", "rank"),
    )

    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    status: Mapped[str] = mapped_column(sa.String(16))
    created_at: Mapped[float] = mapped_column(sa.Float)
    started_at: Mapped[float | None] = mapped_column(sa.Float)
    finished_at: Mapped[float | None] = mapped_column(sa.Float)
    attempt: Mapped[int] = mapped_column(sa.Integer, default=1)
    crashes: Mapped[int] = mapped_column(sa.Integer, default=0)
    worker_id: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    stage: Mapped[str] = mapped_column(sa.String(32), default="queued")
    fraction: Mapped[float] = mapped_column(sa.Float, default=0.0)
    note: Mapped[str | None] = mapped_column(sa.String(200))
    options: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    content_hash: Mapped[str] = mapped_column(sa.String(64))
    model_stem: Mapped[str] = mapped_column(sa.String(200))
    model_file: Mapped[str] = mapped_column(sa.String(64))
    batch_file: Mapped[str] = mapped_column(sa.String(64))
    model_sha256: Mapped[str] = mapped_column(sa.String(64))
    batch_sha256: Mapped[str] = mapped_column(sa.String(64))
    model_bytes: Mapped[int] = mapped_column(sa.BigInteger)
    batch_bytes: Mapped[int] = mapped_column(sa.BigInteger)
    # What a list shows and filters by, copied out of the report.
    model_name: Mapped[str] = mapped_column(sa.String(200), index=True)
    verdict: Mapped[str | None] = mapped_column(sa.String(32))
    primary_cause: Mapped[str | None] = mapped_column(sa.String(64))
    severity: Mapped[str | None] = mapped_column(sa.String(16))
    headline: Mapped[str | None] = mapped_column(sa.Text)
    error_code: Mapped[str | None] = mapped_column(sa.String(64))
    error_detail: Mapped[str | None] = mapped_column(sa.Text)
    has_repaired_model: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    edition: Mapped[str | None] = mapped_column(sa.String(32))
    traceparent: Mapped[str | None] = mapped_column(sa.String(64))
    owner: Mapped[str] = mapped_column(sa.String(64), default="", server_default="")
    # What it needs and where it stands in line: see `needs.py` and `line.py`. No queue: accepted by an earlier version.
    device: Mapped[str] = mapped_column(sa.String(8), default="auto", server_default="auto")
    memory_bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    queue: Mapped[str] = mapped_column(sa.String(40), default="", server_default="")
    priority: Mapped[int] = mapped_column(sa.Integer, default=5, server_default="5")
    rank: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    held: Mapped[bool] = mapped_column(sa.Boolean, default=False, server_default=sa.false())

    @property
    def file_name(self) -> str:
        """The uploaded model file as its owner knows it; empty once the diagnosis was removed."""
        return self.model_stem + self.model_file.removeprefix("model") if self.model_stem else ""


class IdempotencyKey(Base):
    """A client's key and what it stood for. Goes away with its diagnosis."""

    __tablename__ = "idempotency_keys"

    key_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    content_hash: Mapped[str] = mapped_column(sa.String(64))
    diagnosis_id: Mapped[str] = mapped_column(sa.ForeignKey("diagnoses.id", ondelete="CASCADE"), index=True)


class Event(Base):
    """One thing that happened to a diagnosis, numbered, so that a client can come back and read on."""

    __tablename__ = "events"

    diagnosis_id: Mapped[str] = mapped_column(sa.ForeignKey("diagnoses.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    at: Mapped[float] = mapped_column(sa.Float)
    kind: Mapped[str] = mapped_column(sa.String(16))
    data: Mapped[dict[str, Any]] = mapped_column(sa.JSON)


class Settlement(Base):
    """One line for every end that was recorded: the proof that a job ends once."""

    __tablename__ = "settlements"
    __table_args__ = (sa.Index("settlements_by_announced", "announced", "number"),)

    number: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=True)
    diagnosis_id: Mapped[str] = mapped_column(sa.ForeignKey("diagnoses.id", ondelete="CASCADE"), index=True)
    attempt: Mapped[int] = mapped_column(sa.Integer)
    status: Mapped[str] = mapped_column(sa.String(16))
    settled_by: Mapped[str] = mapped_column(sa.String(64))
    at: Mapped[float] = mapped_column(sa.Float)
    announced: Mapped[bool] = mapped_column(sa.Boolean, default=False, server_default=sa.false())


class Listener(Base):
    """An endpoint that is told of endings, by the name that the settings give it. It hears of those since it joined."""

    __tablename__ = "listeners"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    url_hash: Mapped[str] = mapped_column(sa.String(64))
    since: Mapped[float] = mapped_column(sa.Float)
    disabled_at: Mapped[float | None] = mapped_column(sa.Float)


class Delivery(Base):
    """One ending to be told to one listener. What is told is read from the diagnosis' row, and goes away with it."""

    __tablename__ = "deliveries"
    __table_args__ = (sa.Index("deliveries_due", "listener", "state", "next_at"),)

    id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    diagnosis_id: Mapped[str] = mapped_column(sa.ForeignKey("diagnoses.id", ondelete="CASCADE"), index=True)
    listener: Mapped[str] = mapped_column(sa.String(40))
    state: Mapped[str] = mapped_column(sa.String(16), default="pending")
    attempts: Mapped[int] = mapped_column(sa.Integer, default=0)
    created_at: Mapped[float] = mapped_column(sa.Float)
    next_at: Mapped[float] = mapped_column(sa.Float)
    attempted_at: Mapped[float | None] = mapped_column(sa.Float)
    status_code: Mapped[int | None] = mapped_column(sa.Integer)
    reason: Mapped[str | None] = mapped_column(sa.String(200))


class Worker(Base):
    """A worker that lives: it says so every few seconds."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    host: Mapped[str] = mapped_column(sa.String(255))
    pid: Mapped[int] = mapped_column(sa.Integer)
    slots: Mapped[int] = mapped_column(sa.Integer)
    isolation: Mapped[str | None] = mapped_column(sa.Text)
    edition: Mapped[str | None] = mapped_column(sa.String(32))
    capabilities: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    started_at: Mapped[float] = mapped_column(sa.Float)
    heartbeat_at: Mapped[float] = mapped_column(sa.Float)


class Tally(Base):
    """A number that only grows, kept here because workers count and web processes are asked."""

    __tablename__ = "tallies"

    metric: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    labels: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    value: Mapped[float] = mapped_column(sa.Float, default=0.0)


class Usage(Base):
    """What an owner used on one day (UTC). It outlives the diagnoses that it was used for."""

    __tablename__ = "usages"

    owner: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    day: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    jobs: Mapped[int] = mapped_column(sa.Integer, default=0)
    bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    compute_seconds: Mapped[float] = mapped_column(sa.Float, default=0.0)
