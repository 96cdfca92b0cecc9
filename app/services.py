"""What web and worker processes are made of: the stores and the things that change them, put together once.

Routes and workers get this object and nothing else; they never build a store of their own.
"""

from __future__ import annotations

import threading
from pathlib import Path

import structlog

from app.blobs.opening import open_blobs
from app.errors import StoreAway
from app.jobs.database import Database
from app.jobs.engine import Engine, engine_gap, prepare_engine
from app.jobs.events import EventLog
from app.jobs.ledger import Ledger
from app.jobs.lifecycle import Lifecycle
from app.jobs.line import Line
from app.jobs.outbox import Outbox
from app.jobs.places import Places
from app.jobs.reconcile import Reconciler
from app.jobs.removal import Remover
from app.jobs.schema import migrate, schema_gap
from app.jobs.store import JobStore
from app.jobs.trends import Trends
from app.jobs.workers import WorkerRegistry
from app.repeats import Repeats
from app.settings import ENV_PREFIX, Settings
from app.tenancy.audit import AuditLog
from app.tenancy.keyring import Keyring
from app.tenancy.keys import KeyStore
from app.tenancy.shares import shares_of_keys
from app.tenancy.usage import Usages, default_quota

log = structlog.get_logger(__name__)


class Services:
    """The stores of one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.database = Database(settings)
        self.engine = Engine(self.database, settings.queue_poll_seconds)
        line = Line(self.engine, shares_of_keys(settings))
        self.blobs = open_blobs(settings)
        self.store = JobStore(self.database, self.engine, line)
        self.workers = WorkerRegistry(self.database, worker_locks_dir(settings), settings.lease_seconds)
        self.repeats = Repeats(self.database, self.store, self.workers, self.blobs)
        self.trends = Trends(self.database)
        self.events = EventLog(self.database)
        self.outbox = Outbox(self.database)
        self.lifecycle = Lifecycle(self.database, line, settings.attempts_limit)
        self.places = Places(self.database, self.engine, line, self.workers)
        self.reconciler = Reconciler(self.database, self.engine, self.lifecycle, self.workers, self.places)
        self.remover = Remover(self.database, self.engine, self.store, self.blobs)
        self.ledger = Ledger(self.database)
        self.keys, self.keyring = KeyStore(self.database), Keyring(self.database)
        self.audit = AuditLog(self.database)
        self.usages = Usages(self.database, default_quota(settings))

    def close(self) -> None:
        self.blobs.close()
        self.engine.close()
        self.database.close()


def worker_locks_dir(settings: Settings) -> Path:
    return settings.data_dir / "workers"


def prepare(settings: Settings) -> None:
    """Bring the schema up to date, or see that somebody has; where it is behind, nothing can work.

    Raises:
        SchemaBehindError: it is, and `migrate_at_start` leaves it to `phasegap migrate`.
    """
    if settings.migrate_at_start:
        bring_up_to_date(settings)
    elif missing := what_is_missing(settings):
        log.error("schema_behind", reason=missing, advice="phasegap migrate")
        raise SchemaBehindError(f"{missing} Run `phasegap migrate`, or set {ENV_PREFIX}MIGRATE_AT_START=true.")


def bring_up_to_date(settings: Settings) -> None:
    """Ours first, then the queue's."""
    migrate(settings)
    prepare_engine(settings)


def what_is_missing(settings: Settings) -> str | None:
    """In which way the schema is behind this version, in words; None where it is not."""
    return schema_gap(settings) or engine_gap(settings)


class SchemaBehindError(RuntimeError):
    """The database lacks what this version needs, and this process may not add it."""


class Upkeep:
    """The loop that gives back lost jobs and removes what has expired. A thread beside each process' main work."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        settings = self._services.settings
        until_sweep_s = 0.0
        while not self._stop.wait(settings.reconcile_seconds):
            self._try("reconcile", self._services.reconciler.run_once)
            until_sweep_s -= settings.reconcile_seconds
            if until_sweep_s <= 0:
                until_sweep_s = settings.sweep_seconds
                self._try("expire", lambda: self._services.remover.expire(settings.retention_seconds))
                self._try("sweep_files", self._services.remover.sweep_files)
                self._try("expire_audit", lambda: self._services.audit.expire(settings.audit_retention_days))

    def _try(self, name: str, action: object) -> None:
        assert callable(action)
        try:
            count = action()
        except StoreAway:
            log.warning("upkeep_put_off", task=name)
        except Exception:
            log.exception("upkeep_failed", task=name)  # a full disk or a lost database: the next round tries again
        else:
            if count:
                log.info("upkeep", task=name, count=count)
