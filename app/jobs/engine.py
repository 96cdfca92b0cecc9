"""The durable queue. The only module that knows DBOS.

A job's run is a DBOS workflow named `<diagnosis>.<attempt>`, enqueued in the transaction that writes our row. Each
run gets a workflow of its own: putting a lost job back is then one transaction, too, and never depends on what
state DBOS keeps for the earlier run. DBOS hands a run to one worker; whether that run may still do anything is
decided by our row (`claim`).

What is set here on purpose: the portable JSON serializer (the default is pickle, which would make the database a way to
execute code), one constant application version (a job enqueued under an older one is never taken), no recovery
attempts of DBOS' own (we count them), and no step inside the workflow (a run that died starts over).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer
from dbos._migration import get_migration_versions, get_sqlite_migration_versions  # it tells in no public way
from sqlalchemy.orm import Session

from app.jobs.database import Database, make_engine, migration_lock
from app.settings import Settings

APPLICATION = "phasegap"
APPLICATION_VERSION = "1"
POSTGRES_SCHEMA = "dbos"
QUEUE = "diagnoses"
WORKFLOW = "diagnose"

Run = tuple[str, int]
"""A diagnosis and the number of its attempt."""


@dataclass(frozen=True)
class RunState:
    """What the queue knows about a run: whether it waits, is held, and by which worker."""

    waiting: bool
    held: bool
    worker_id: str | None


def run_name(run: Run) -> str:
    return f"{run[0]}.{run[1]}"


def parse_run_name(name: str) -> Run | None:
    diagnosis_id, _, attempt = name.rpartition(".")
    return (diagnosis_id, int(attempt)) if diagnosis_id and attempt.isdigit() else None


def prepare_engine(settings: Settings) -> None:
    """Create or upgrade the queue's tables, one process at a time."""
    own = make_engine(settings.sqlalchemy_url)
    try:
        with migration_lock(settings, own):
            DBOS.migrate(settings.sqlalchemy_url)
    finally:
        own.dispose()


def engine_gap(settings: Settings) -> str | None:
    """In which way the queue's tables are behind the engine that is installed, in words; None where they are not."""
    own = make_engine(settings.sqlalchemy_url)
    try:
        if own.dialect.name == "sqlite":
            found, wanted = get_sqlite_migration_versions(own)
        else:
            found, wanted = get_migration_versions(own, POSTGRES_SCHEMA, True)
    finally:
        own.dispose()
    return f"The queue's tables are at {found}, this version needs {wanted}." if found < wanted else None


class Engine:
    """The queue as everyone but the worker loop sees it."""

    def __init__(self, database: Database) -> None:
        self._client = DBOSClient(
            system_database_engine=database.engine,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            lazy=True,
        )

    def enqueue(self, session: Session, run: Run) -> None:
        """Put a run into the queue; it is there once the caller's transaction is committed, and only then."""
        self._client.enqueue_in_transaction(
            session,
            {"workflow_name": WORKFLOW, "queue_name": QUEUE, "workflow_id": run_name(run)},
            run[0],
            run[1],
        )

    def states(self, runs: Iterable[Run]) -> dict[Run, RunState]:
        """The state of each run that the queue knows; a run that is missing here will never be handed out."""
        names = [run_name(run) for run in runs]
        if not names:
            return {}
        found: dict[Run, RunState] = {}
        for status in self._client.list_workflows(workflow_ids=names, load_input=False, load_output=False):
            run = parse_run_name(status.workflow_id)
            if run is not None:
                waiting, held = status.status in ("ENQUEUED", "DELAYED"), status.status == "PENDING"
                found[run] = RunState(waiting, held, status.executor_id if held else None)
        return found

    def forget(self, diagnosis_id: str, attempts: int) -> None:
        """Remove every trace of a diagnosis' runs from the queue; a run that waits will not be handed out any more."""
        self._client.delete_workflows([run_name((diagnosis_id, number)) for number in range(1, attempts + 1)])

    def forget_run(self, run: Run) -> None:
        """Remove one run that has been overtaken."""
        self._client.delete_workflows([run_name(run)])

    def close(self) -> None:
        self._client.destroy()


class WorkerLoop:
    """Takes runs from the queue and calls `run_job(diagnosis_id, attempt)` for each, in threads of its own."""

    def __init__(self, settings: Settings, worker_id: str, run_job: Callable[[str, int], None]) -> None:
        self._settings = settings
        self._database_engine = make_engine(settings.sqlalchemy_url)
        self._dbos = DBOS(config=self._config(worker_id))
        self._register(run_job)

    def _config(self, worker_id: str) -> DBOSConfig:
        return {
            "name": APPLICATION,
            "application_version": APPLICATION_VERSION,
            "executor_id": worker_id,
            "system_database_url": self._settings.sqlalchemy_url,
            "system_database_engine": self._database_engine,
            "serializer": DBOSPortableJSONSerializer(),
            "run_migrations": False,
            "log_level": "WARNING",
        }

    @staticmethod
    def _register(run_job: Callable[[str, int], None]) -> None:
        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
        def diagnose(diagnosis_id: str, attempt: int) -> None:
            run_job(diagnosis_id, attempt)

    def start(self) -> None:
        DBOS.launch()
        options: dict[str, Any] = {
            "worker_concurrency": self._settings.slots,
            "polling_interval_sec": self._settings.queue_poll_seconds,
        }
        DBOS.register_queue(QUEUE, on_conflict="always_update", **options)

    def stop_taking(self) -> None:
        """Take no further run. Those that are held go on."""
        for event in self._dbos.background_thread_stop_events:
            event.set()
