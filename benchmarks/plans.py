"""How does PostgreSQL find what the service asks for, with a long history in its tables? Every statement is explained.

    python -m benchmarks.plans --history 100000

It fills a database with so many ended diagnoses, each with its events, its settlement and the queue's own row, and a
few that wait and run. Then it does what web processes and workers do, listens to the statements that go out, and has
PostgreSQL run each of them with EXPLAIN ANALYZE: milliseconds, pages of 8 KiB that were looked at, and long tables
that were read from one end to the other. It fails where a statement that is asked again and again (`always`) reads a
long table like that.
"""

from __future__ import annotations

import argparse
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from app.jobs.engine import APPLICATION_VERSION
from app.jobs.lifecycle import Lifecycle
from app.jobs.models import Diagnosis, Event, Settlement
from app.jobs.needs import Place
from app.jobs.states import Ending, Submission
from app.jobs.store import Filters
from app.services import Services, prepare
from app.settings import Settings
from benchmarks.databases import fresh

DAY_S = 24 * 3600.0
PER_DAY = 100_000
LONG = {
    "diagnoses",
    "events",
    "settlements",
    "idempotency_keys",
    *(f"workflow_{n}" for n in ("status", "input", "output")),
}
"""Tables that grow with the history. The others hold a row for each worker, listener or series."""
WAITING, RUNNING, MODELS = 50, 8, 200
EVENTS = 13
"""A small model's diagnosis writes 14, the founding case's 12."""
NAME = "model-17"
HASH = "0" * 64
AT_ONCE = 5_000
MANY_ROWS = 2_000
"""No list, queue or sweep hands out more than 500 rows at a time."""


@dataclass
class Found:
    """What one action cost: its statements, milliseconds, pages, and the long tables that were read whole."""

    statements: int = 0
    milliseconds: float = 0.0
    pages: int = 0
    scans: set[str] = field(default_factory=set)


def fill(services: Services, history: int) -> None:
    """A history at the rate of `PER_DAY`, and a queue."""
    now_s = time.time()
    total = history + WAITING + RUNNING
    with services.database.engine.begin() as connection:
        for start in range(0, total, AT_ONCE):
            part = range(start, min(total, start + AT_ONCE))
            rows = [_row(number, history, now_s - (total - number) * DAY_S / PER_DAY) for number in part]
            connection.execute(sa.insert(Diagnosis), rows)
            ended = [row for row in rows if row["status"] not in ("queued", "running")]
            events = [_event(row, number) for row in rows for number in range(1, EVENTS + 1)]
            connection.execute(sa.insert(Event), events)
            if ended:
                connection.execute(sa.insert(Settlement), [_settlement(row) for row in ended])
            for statement in QUEUE_ROWS:
                connection.execute(sa.text(statement), [_queue_row(row) for row in rows])
    with services.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))


QUEUE_ROWS = (
    """INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name, application_name,
        application_version, executor_id, owner_xid, serialization, completed_at, started_at_epoch_ms)
    VALUES (:id, :status, 'diagnose', :queue, 'phasegap', :version, 'host-a-0123456789ab', gen_random_uuid()::text,
        'portable_json', 1795704905000, 1795704901000)""",
    "INSERT INTO dbos.workflow_input (workflow_uuid, inputs, retention_timestamp) VALUES (:id, :inputs, 1795704882000)",
    "INSERT INTO dbos.workflow_output (workflow_uuid, output, retention_timestamp) VALUES (:id, 'null', 1795704882000)",
)
"""What DBOS 3.4 keeps of a run."""


def _row(number: int, history: int, at_s: float) -> dict[str, Any]:
    status = "failed" if number % 20 == 0 else "succeeded"
    if number >= history:
        status = "running" if number < history + RUNNING else "queued"
    content = uuid.uuid5(uuid.NAMESPACE_OID, str(number)).hex * 2
    row = {"id": content[:32], "status": status, "created_at": at_s, "attempt": 1, "options": {}}
    row |= {"content_hash": content}
    row |= {"model_stem": f"model-{number % MODELS}", "model_name": f"model-{number % MODELS}"}
    row |= {"model_file": "model.keras", "batch_file": "batch.npz", "model_sha256": HASH, "batch_sha256": HASH}
    row |= {"model_bytes": 100_000_000, "batch_bytes": 1_000_000, "worker_id": None, "headline": "A headline. " * 12}
    row |= {"queue": Place().queue, "rank": 1, "verdict": "phase_gap", "edition": "e1"}
    row |= {"started_at": at_s, "finished_at": at_s + 6.0}
    row |= {"primary_cause": "bn_statistics_unconverged" if number % 500 else "rare_cause"}
    if number >= history:
        row |= {"finished_at": None, "verdict": None, "worker_id": "w1" if status == "running" else None}
    return row


def _event(row: dict[str, Any], number: int) -> dict[str, Any]:
    data = {"status": "running", "stage": "measure", "fraction": 0.5}
    return {"diagnosis_id": row["id"], "number": number, "at": row["created_at"], "kind": "progress", "data": data}


def _settlement(row: dict[str, Any]) -> dict[str, Any]:
    known = {"diagnosis_id": row["id"], "attempt": 1, "status": row["status"], "settled_by": "w1"}
    return known | {"at": row["created_at"] + 6.0, "announced": True}


def _queue_row(row: dict[str, Any]) -> dict[str, Any]:
    status = {"queued": "ENQUEUED", "running": "PENDING"}.get(row["status"], "SUCCESS")
    known = {"queue": Place().queue, "version": APPLICATION_VERSION}
    inputs = json.dumps({"positionalArgs": [row["id"], 1]})
    return known | {"id": f"{row['id']}.1", "status": status, "inputs": inputs}


@contextmanager
def heard(engine: sa.Engine) -> Iterator[list[tuple[str, Any]]]:
    """The statements that go out meanwhile, with their parameters."""
    found: list[tuple[str, Any]] = []

    def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if not many and statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")):
            found.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", listen)
    try:
        yield found
    finally:
        sa.event.remove(engine, "before_cursor_execute", listen)


def explained(engine: sa.Engine, action: Callable[[], object]) -> Found:
    """Do it, and have each of its statements explained, in a transaction that is rolled back."""
    with heard(engine) as statements:
        action()
    found = Found(len(statements))
    with engine.connect() as connection:
        for statement, parameters in statements:
            inserts = statement.lstrip().upper().startswith("INSERT")  # which cannot be done twice
            explain = f"EXPLAIN ({'' if inserts else 'ANALYZE, BUFFERS, '}FORMAT JSON) {statement}"
            with connection.begin() as changes:
                plan = connection.exec_driver_sql(explain, parameters).scalar()
                changes.rollback()
            told = (json.loads(plan) if isinstance(plan, str) else plan)[0]
            found.milliseconds += told.get("Execution Time", 0.0) + told.get("Planning Time", 0.0)
            found.pages += told["Plan"].get("Shared Hit Blocks", 0) + told["Plan"].get("Shared Read Blocks", 0)
            found.scans |= set(_read_whole(told["Plan"]))
    return found


def _read_whole(node: dict[str, Any]) -> Iterator[str]:
    """Long tables that are read from one end to the other, or of whose rows so many are met that it comes to that."""
    table = node.get("Relation Name", "")
    met = node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)
    if table in LONG and (node["Node Type"] == "Seq Scan" or met * node.get("Actual Loops", 1) > MANY_ROWS):
        yield table
    for child in node.get("Plans", ()):
        yield from _read_whole(child)


def always(services: Services) -> dict[str, Callable[[], object]]:
    """What is done for every job, every look and every page, whoever asks."""
    store = services.store
    worker_id, _ = services.workers.join(1, None, "e1")
    with services.database.transaction() as session:
        session.execute(sa.update(Diagnosis).where(Diagnosis.status == "running").values(worker_id=worker_id))
    page, cursor = store.page(Filters(), 50, None)
    open_ids = [row.id for row in page[:20]]
    many_ids = [row.id for row in store.page(Filters(), 500, None)[0]]
    running = [(row.id, row.attempt) for row in store.page(Filters(status="running"), 50, None)[0]]
    submission = Submission("f" * 32, "m", "model.keras", "batch.npz", HASH, HASH, 1, 1, {}, HASH)

    queue = services.engine._client.register_queue(Place().queue, worker_concurrency=1)
    system = services.engine._client._sys_db  # what a worker's loop asks, which is DBOS' own

    return {
        "list, first page": lambda: store.page(Filters(), 50, None),
        "list, a further page": lambda: store.page(Filters(), 50, cursor),
        "list, by status": lambda: store.page(Filters(status="failed"), 50, None),
        "queue depth": store.queue_depth,
        "queue figures": store.queue_figures,
        "submit": lambda: store.submit(submission, "key"),
        "take from the queue": lambda: system.start_queued_workflows(queue, worker_id, APPLICATION_VERSION, None),
        "claim, progress, settle": lambda: _run(services.lifecycle, submission.id, worker_id),
        "one diagnosis": lambda: store.get(submission.id),
        "waiting requests": lambda: store.ended_among(open_ids),
        "events of one": lambda: services.events.after(submission.id, 0),
        "same content": lambda: services.repeats._earlier(submission),
        "reconcile": services.reconciler.run_once,
        "abandoned": lambda: services.reconciler.give_back_abandoned(worker_id, running),
        "heartbeat": lambda: services.workers.beat(worker_id),
        "expire": lambda: services.remover.expire(30 * DAY_S),
        "sweep, 500 folders": lambda: store.known_among(many_ids),
        "announce endings": lambda: services.outbox.announce(()),
    }


def _run(lifecycle: Lifecycle, diagnosis_id: str, worker_id: str) -> None:
    claim = lifecycle.claim(diagnosis_id, 1, worker_id)
    assert claim is not None
    lifecycle.progress(claim, "measure", 0.5)
    lifecycle.holds(claim)
    lifecycle.settle(claim, Ending("succeeded", verdict="phase_gap"))


def people(services: Services) -> dict[str, Callable[[], object]]:
    """What a person asks for now and then."""
    store = services.store
    return {
        "list, by cause": lambda: store.page(Filters(cause="rare_cause"), 50, None),
        "list, by model": lambda: store.page(Filters(model_name=NAME), 50, None),
        "list, unknown model": lambda: store.page(Filters(model_name="no such model"), 50, None),
        "search, nothing found": lambda: store.page(Filters(search="no such word"), 50, None),
        "trends of the dashboard": services.trends.newest_models,
        "trend of one model": lambda: services.trends.of_model(NAME),
    }


@contextmanager
def filled(history: int) -> Iterator[Services]:
    """Services over a database with so many ended diagnoses."""
    with fresh(fsync="off") as (postgres, data):
        settings = Settings(data_dir=data, database_url=postgres.url)
        prepare(settings)
        services = Services(settings)
        fill(services, history)
        yield services
        services.close()


def sizes(services: Services) -> list[tuple[str, int, float]]:
    """Each table that grows: rows, and bytes with its indexes for a diagnosis."""
    query = """SELECT c.relname, c.reltuples::bigint, pg_total_relation_size(c.oid) FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname IN ('public', 'dbos') AND c.reltuples > 1000 ORDER BY 3 DESC"""
    with services.database.transaction() as session:
        count = session.scalar(sa.select(sa.func.count()).select_from(Diagnosis)) or 1
        return [(row[0], row[1], row[2] / count) for row in session.execute(sa.text(query))]


def report(services: Services) -> bool:
    """Print what each costs; whether none of those that are always asked reads a long table whole."""
    engine, passed = services.database.engine, True
    for title, actions in (("always", always(services)), ("when a person asks", people(services))):
        print(f"\n{title:<26}{'statements':>11}{'ms':>9}{'pages':>9}  read whole")
        for name, action in actions.items():
            found = explained(engine, action)
            shown = ", ".join(sorted(found.scans)) or "-"
            print(f"{name:<26}{found.statements:>11}{found.milliseconds:>9.2f}{found.pages:>9}  {shown}")
            passed &= title != "always" or not found.scans
    print(f"\n{'table':<26}{'rows':>11}{'bytes a diagnosis':>20}")
    for name, rows, each in sizes(services):
        print(f"{name:<26}{rows:>11}{each:>20.0f}")
    return passed


def main() -> int:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--history", type=int, default=100_000)
    with filled(parser.parse_args().history) as services:
        passed = report(services)
    print(
        "\nnothing that is always asked reads a long table whole" if passed else "\nSOMETHING READS A LONG TABLE WHOLE"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
