"""What holds when the database was away at the worst moment: each of these moments, made by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.jobs.database import make_engine
from app.jobs.outages import SILENCE_S, connect_arguments, is_away, outlast
from app.jobs.states import Claim, Ending, Submission
from app.services import Services, prepare
from app.settings import Settings
from tests.cluster.postgres import Postgres

LEASE_S = 0.4
HASH = "0" * 64


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """On SQLite, which is there sooner: these statements are the same on both."""
    settings = Settings(data_dir=tmp_path / "data", lease_seconds=LEASE_S)
    prepare(settings)
    found = Services(settings)
    yield found
    found.close()


def submit(services: Services) -> str:
    """A job that has waited for a while."""
    submission = Submission("d1", "tiny", "model.keras", "batch.npz", HASH, HASH, 1, 1, {}, HASH)
    services.store.submit(submission, None)
    with services.database.transaction() as session:
        session.execute(sa.text("UPDATE diagnoses SET created_at = created_at - 60"))
    return submission.id


def claimed(services: Services) -> Claim:
    worker_id, _ = services.workers.join(1, None)
    claim = services.lifecycle.claim(submit(services), 1, worker_id)
    assert claim is not None
    return claim


def count(services: Services, table: str) -> int:
    with services.database.transaction() as session:
        return int(session.scalar(sa.text(f"SELECT count(*) FROM {table}")) or 0)


def test_an_ending_whose_answer_was_lost_is_recorded_once_and_told_again(services: Services) -> None:
    claim = claimed(services)
    assert services.lifecycle.settle(claim, Ending("succeeded"))
    assert services.lifecycle.settle(claim, Ending("succeeded")), "it is this run's ending that stands there"
    assert count(services, "settlements") == 1


def test_an_overtaken_run_is_not_told_that_it_counts(services: Services) -> None:
    claim = claimed(services)
    assert services.lifecycle.lost(claim.id, claim.attempt)
    second = services.lifecycle.claim(claim.id, 2, claim.worker_id)
    assert second is not None
    assert services.lifecycle.settle(second, Ending("succeeded"))
    assert not services.lifecycle.settle(claim, Ending("succeeded"))
    assert count(services, "settlements") == 1


def test_a_worker_that_was_declared_dead_claims_nothing(services: Services) -> None:
    worker_id, _ = services.workers.join(1, None)
    diagnosis_id = submit(services)
    services.workers.leave(worker_id)
    assert services.lifecycle.claim(diagnosis_id, 1, worker_id) is None
    assert services.store.get(diagnosis_id).status == "queued"


def test_a_run_that_was_taken_and_never_begun_goes_back_after_a_lease(services: Services) -> None:
    """The queue says that a living worker has it, and the worker never heard of it."""
    worker_id, _ = services.workers.join(1, None)
    diagnosis_id = submit(services)
    with services.database.transaction() as session:
        taken = sa.text("UPDATE workflow_status SET status = 'PENDING', executor_id = :worker")
        session.execute(taken, {"worker": worker_id})
    services.reconciler.run_once()
    services.workers.beat(worker_id)
    assert services.store.get(diagnosis_id).attempt == 1, "it may be about to begin"
    time.sleep(LEASE_S * 1.5)
    services.workers.beat(worker_id)
    services.reconciler.run_once()
    found = services.store.get(diagnosis_id)
    assert (found.status, found.attempt, found.crashes) == ("queued", 2, 0)
    assert services.engine.states([(diagnosis_id, 2)])[(diagnosis_id, 2)].waiting


def test_two_sweeps_at_once_stand_in_nobody_s_way(services: Services) -> None:
    """As those of two hosts, which find the same diagnoses expired."""
    for number in range(40):
        submission = Submission(f"d{number}", "tiny", "model.keras", "batch.npz", HASH, HASH, 1, 1, {}, HASH)
        services.store.submit_ended(submission, None, Ending("succeeded"))
    other = Services(services.settings)
    try:
        with ThreadPoolExecutor(2) as hosts:
            sweeps = [hosts.submit(each.remover.expire, 0.0) for each in (services, other)]
        assert [sweep.exception() for sweep in sweeps] == [None, None]
    finally:
        other.close()
    assert count(services, "diagnoses") == 0


def test_who_has_just_started_holds_silence_against_nobody_for_a_lease(services: Services) -> None:
    services.workers.join(1, None)
    with services.database.transaction() as session:
        session.execute(sa.text("UPDATE workers SET heartbeat_at = heartbeat_at - 3600"))
    newcomer = Services(services.settings)
    try:
        assert newcomer.workers.bury() == []
        time.sleep(LEASE_S * 1.2)
        assert len(newcomer.workers.bury()) == 1
    finally:
        newcomer.close()


def test_what_is_asked_of_a_database_that_is_away_is_asked_until_it_is_back(postgres: Postgres) -> None:
    engine = make_engine(postgres.url)

    def ask() -> int:
        with engine.connect() as connection:
            return int(connection.scalar(sa.text("SELECT 1")) or 0)

    assert ask() == 1
    postgres.kill()
    with pytest.raises(sa.exc.OperationalError) as told:
        outlast(ask, lambda: True)
    assert is_away(told.value)
    back = threading.Timer(0.7, postgres.start)
    back.start()
    assert outlast(ask, lambda: False) == 1
    back.join()
    engine.dispose()


def test_the_url_of_the_database_has_the_last_word() -> None:
    given = connect_arguments("postgresql+psycopg://x@127.0.0.1/x?connect_timeout=3")
    assert "connect_timeout" not in given
    assert given["tcp_user_timeout"] == SILENCE_S * 1000
    assert connect_arguments("sqlite:///x") == {}


def test_a_refusal_is_no_outage(postgres: Postgres) -> None:
    engine = make_engine(postgres.url)
    with engine.connect() as connection, pytest.raises(sa.exc.ProgrammingError) as told:
        connection.execute(sa.text("SELECT * FROM nowhere"))
    assert not is_away(told.value)
    engine.dispose()


@pytest.mark.slow
def test_a_transaction_that_nobody_goes_on_with_frees_its_rows(postgres: Postgres) -> None:
    """As a worker leaves it that is frozen between two statements: its connection lives, the kernel sees to that."""
    engine = make_engine(postgres.url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t AS SELECT 1 AS n"))
    frozen = engine.connect()
    frozen.execute(sa.text("UPDATE t SET n = 2"))
    began_s = time.monotonic()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE t SET n = 3"))
    assert time.monotonic() - began_s < SILENCE_S + 2
    assert postgres.rows("SELECT n FROM t") == [(3,)]
    frozen.invalidate()
    engine.dispose()
