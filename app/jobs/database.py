"""The database: engine, clock, locks. SQLite in the data folder by default, PostgreSQL for many workers.

SQLite runs in WAL mode (measured: 2 ms instead of 24 ms a submission) with full synchronisation, so that what was
acknowledged survives a power cut. All times are seconds since 1970 *by the database's clock*: hosts may disagree.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.sql.functions import FunctionElement

from app.jobs.outages import connect_arguments, prepare_session
from app.jobs.ringing import ring_at_commit
from app.jobs.separation import keep_apart
from app.settings import Settings

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
BUSY_TIMEOUT_MS = 30_000
SCRUB_TIMEOUT_MS = 1_000
"""How long scrubbing waits for readers, which keeps writers waiting; it is tried again later."""
POSTGRES_LOCK_ID = 7_261_034
MIGRATION_PAUSE_S = 0.1


class db_now(FunctionElement[float]):  # noqa: N801 - reads like the SQL function that it is
    """Seconds since 1970 by the database's clock."""

    type = sa.Float()
    inherit_cache = True


@compiles(db_now, "sqlite")
def _sqlite_now(element: Any, compiler: Any, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(db_now, "postgresql")
def _postgres_now(element: Any, compiler: Any, **_: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


class Database:
    """One engine and its sessions."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.sqlalchemy_url
        self.engine = make_engine(self.url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        keep_apart(self._sessions)
        ring_at_commit(self._sessions, settings.bells_dir)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits at the end of the block, or rolls back if it raises."""
        with self._sessions() as session, session.begin():
            yield session

    def check(self) -> None:
        """Raise if the database does not answer."""
        with self.engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))

    def scrub(self) -> bool:
        """Empty SQLite's write-ahead log into the database, so that what was deleted is in neither of them.

        False where somebody was reading: then some of it is left in the log until the next time.
        """
        if self.engine.dialect.name != "sqlite":
            return True
        with self.engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={SCRUB_TIMEOUT_MS}")
            try:
                busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        return not busy

    def close(self) -> None:
        self.engine.dispose()


def at(seconds: float | None) -> datetime | None:
    """A time of the database as an aware datetime."""
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)


def hits(session: Session, change: sa.Update) -> bool:
    """Make a change that is guarded by its own condition; whether any row met that. Loaded objects are left alone."""
    result = session.execute(change.execution_options(synchronize_session=False))
    return bool(getattr(result, "rowcount", 0))


def make_engine(url: str) -> sa.Engine:
    """An engine with the pragmas that durability and several processes need, or the timeouts that several hosts do."""
    pool: dict[str, Any] = {"pool_size": 10, "max_overflow": 20, "pool_pre_ping": not url.startswith("sqlite")}
    engine = sa.create_engine(url, connect_args=connect_arguments(url), **pool)
    prepare = {"sqlite": _prepare_sqlite, "postgresql": prepare_session}.get(engine.dialect.name)
    if prepare is not None:
        sa.event.listen(engine, "connect", prepare)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"  # writers queue up instead of failing when a read turns into a write
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")  # what is removed is overwritten, not only forgotten


@contextmanager
def migration_lock(settings: Settings, engine: sa.Engine) -> Iterator[None]:
    """Held by the one process that migrates: a file lock beside SQLite, an advisory lock in PostgreSQL.

    There it is asked for again and again, outside of any transaction: indexes that are made concurrently wait for the
    end of every transaction, also of one that waits for this lock, and neither would ever end.
    """
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not connection.scalar(sa.text(f"SELECT pg_try_advisory_lock({POSTGRES_LOCK_ID})")):
                time.sleep(MIGRATION_PAUSE_S)
            try:
                yield
            finally:
                connection.execute(sa.text(f"SELECT pg_advisory_unlock({POSTGRES_LOCK_ID})"))
        return
    descriptor = os.open(settings.data_dir / "migration.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_full_disk(error: BaseException) -> bool:
    """Whether the disk is to blame, as the file system or SQLite say it."""
    if isinstance(error, OSError):
        return error.errno in FULL_DISK
    return isinstance(error, OperationalError) and "disk is full" in str(error.orig)
