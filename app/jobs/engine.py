"""The durable queue. The only module that knows DBOS.

A job's run is a DBOS workflow named `<diagnosis>.<attempt>`, enqueued in the transaction that writes our row. Each
run gets a workflow of its own: putting a lost job back is then one transaction, too, and never depends on what
state DBOS keeps for the earlier run. DBOS hands a run to one worker; whether that run may still do anything is
decided by our row (`claim`).

What is set here on purpose: the portable JSON serializer (the default is pickle, which would make the database a way to
execute code), no recovery attempts of DBOS' own (we count them), no step inside the workflow (a run that died starts
over), and one constant application version (a job enqueued under an older one is never taken). That is "2" since
there is a queue for each place: workers of before, which listen to every queue and bound each by itself, take none of
these.

DBOS bounds what a worker holds queue by queue, and by one figure in the database that all workers share. Here it is
bounded by what the worker has room for, over all of its queues together: see `_within_room`. And a job of this host's
is taken at once, not at the next look into the database: see `app.jobs.doorbell`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import dbos._queue
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer
from dbos._migration import get_migration_versions, get_sqlite_migration_versions  # it tells in no public way
from dbos._sys_db import SystemDatabase
from sqlalchemy.orm import Session

from app.jobs.database import Database, make_engine, migration_lock
from app.jobs.doorbell import Doorbell
from app.jobs.needs import Place
from app.jobs.ringing import has_news
from app.settings import Settings

APPLICATION = "phasegap"
APPLICATION_VERSION = "2"
POSTGRES_SCHEMA = "dbos"
WORKFLOW = "diagnose"

LOCAL_RUNNING = 3
"""Where DBOS says how many runs of the queue it holds already: after executor, version and partition."""

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

    def __init__(self, database: Database, poll_seconds: float) -> None:
        self._poll_seconds = poll_seconds
        self._open: set[str] = set()
        self._client = DBOSClient(
            system_database_engine=database.engine,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            lazy=True,
            retry_connection_errors=False,  # else one call waits for the database with pauses of up to a minute
        )

    def open(self, queue: str) -> None:
        """Make sure that there is such a queue, before a transaction that enqueues into it."""
        if queue not in self._open:
            self._client.register_queue(queue, on_conflict="never_update", polling_interval_sec=self._poll_seconds)
            self._open.add(queue)

    def enqueue(self, session: Session, run: Run, queue: str, rank: int) -> None:
        """Put a run into an open queue, the smallest rank first; it is there once the caller's transaction is
        committed, and only then.
        """
        self._client.enqueue_in_transaction(
            session,
            {
                "workflow_name": WORKFLOW,
                "queue_name": queue,
                "workflow_id": run_name(run),
                "priority": rank,
                "app_version": APPLICATION_VERSION,
            },
            run[0],
            run[1],
        )
        has_news(session, "jobs")

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


class Room(Protocol):
    """What a worker has room for. Used by several threads, each of which enters `taking` first."""

    def taking(self) -> AbstractContextManager[object]: ...
    def free(self, queue: str) -> int: ...
    def take(self, runs: Collection[Run], queue: str) -> None: ...


class WorkerLoop:
    """Takes runs from the queues that are named and calls `run_job(diagnosis_id, attempt)` for each, in threads of its
    own, as far as there is room. One in a process.
    """

    def __init__(
        self,
        settings: Settings,
        worker_id: str,
        run_job: Callable[[str, int], None],
        queues: Collection[str],
        room: Room,
    ) -> None:
        self._settings = settings
        self._queues = frozenset(queues)
        self._database_engine = make_engine(settings.sqlalchemy_url)
        self._dbos = DBOS(config=self._config(worker_id))
        self._doorbell = Doorbell(settings.bells_dir)
        self._register(run_job)
        _within_room(self._queues, room)
        _woken_by(self._doorbell)

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

    def _register(self, run_job: Callable[[str, int], None]) -> None:
        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
        def diagnose(diagnosis_id: str, attempt: int) -> None:
            try:
                run_job(diagnosis_id, attempt)
            finally:
                self._doorbell.ring()  # there is room for the next

    def start(self) -> None:
        DBOS.listen_queues(sorted(self._queues))
        DBOS.launch()
        pause_s = self._settings.queue_poll_seconds
        DBOS.register_queue(Place().queue, on_conflict="always_update", polling_interval_sec=pause_s)

    def stop_taking(self) -> None:
        """Take no further run. Those that are held go on."""
        self._doorbell.retire()
        for event in self._dbos.background_thread_stop_events:
            event.set()


def _within_room(queues: Collection[str], room: Room) -> None:
    """Let this process take no more runs than it has room for, over all of its queues.

    DBOS 3.4 has no such setting, so its step that takes runs is wrapped; `test_slots.py` notices if that changes.
    Before `launch`, whose threads begin to take at once.
    """
    plain = SystemDatabase.start_queued_workflows

    def take(self: SystemDatabase, queue: Any, *others: Any, **named: Any) -> Any:
        if queue.name not in queues:
            return plain(self, queue, *others, **named)
        with room.taking():
            free = room.free(queue.name)
            if free <= 0:
                return [], "worker_concurrency"
            queue._worker_concurrency = others[LOCAL_RUNNING] + free
            names, reason = plain(self, queue, *others, **named)
            room.take([run for name in names if (run := parse_run_name(name)) is not None], queue.name)
            return names, reason

    SystemDatabase.start_queued_workflows = take  # type: ignore[method-assign]


def _woken_by(doorbell: Doorbell) -> None:
    """Have the pauses of the threads that take runs end when the bell rings.

    DBOS 3.4 polls only, so the event by which it stops those threads, and on which they wait between two looks, is
    given to them wrapped; `test_bells.py` notices if that changes. Before `launch`, which starts the threads.
    """
    plain = dbos._queue.queue_worker_thread

    def look(stop: threading.Event, *others: Any) -> None:
        plain(doorbell.cutting_short(stop), *others)

    dbos._queue.queue_worker_thread = look  # type: ignore[assignment]
