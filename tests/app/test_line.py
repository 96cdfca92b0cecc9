"""Who comes first, on a database alone: turns of owners, priorities, limits, and jobs that an earlier version left."""

from __future__ import annotations

import itertools
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import InvalidRequest
from app.jobs.models import Diagnosis
from app.jobs.needs import Place
from app.jobs.states import Claim, Ending, Submission
from app.locks import ProcessLock
from app.services import Services, prepare
from app.settings import Settings

ANY, GPU = Place().queue, Place(gpu=True).queue
names = itertools.count()


class Bench:
    """A database with the queue, and no process beside it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.services = Services(Settings(data_dir=folder, **settings))
        self.worker_id, self._lock = self.services.workers.join(1, None)

    def submit(self, owner: str = "", *, queue: str = ANY, priority: int | None = None) -> str:
        digests = {"model_sha256": "0", "batch_sha256": "0", "content_hash": f"{next(names)}"}
        files = {"model_stem": "m", "model_file": "model.keras", "batch_file": "batch.npz"}
        sizes = {"model_bytes": 1, "batch_bytes": 1, "options": {}}
        asked = {"owner": owner, "queue": queue, "priority": priority}
        job = Submission(id=uuid.uuid4().hex, **digests, **files, **sizes, **asked)
        return self.services.store.submit(job, None)[0].id

    def in_line(self) -> list[str]:
        """Waiting jobs in the order in which DBOS hands them out."""
        query = sa.text(
            "SELECT workflow_uuid FROM workflow_status WHERE status = 'ENQUEUED' ORDER BY priority, created_at, rowid"
        )
        with self.services.database.engine.connect() as connection:
            return [str(row[0]).partition(".")[0] for row in connection.execute(query)]

    def claim(self, diagnosis_id: str) -> Claim | None:
        row = self.services.store.get(diagnosis_id)
        return self.services.lifecycle.claim(row.id, row.attempt, self.worker_id)

    def end(self, claim: Claim) -> None:
        self.services.engine.forget_run((claim.id, claim.attempt))
        assert self.services.lifecycle.settle(claim, Ending("failed", error_code="internal"))

    def run_next(self) -> str:
        """Take the first in line to its end; whose it was."""
        claim = self.claim(self.in_line()[0])
        assert claim is not None
        self.end(claim)
        return claim.owner


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a database that is up to date."""
    folder = tmp_path_factory.mktemp("empty")
    prepare(Settings(data_dir=folder))
    return folder


@pytest.fixture
def bench(empty: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    shutil.copytree(empty, tmp_path, dirs_exist_ok=True)
    made = Bench(tmp_path, **getattr(request, "param", {}))
    yield made
    made.services.close()


def test_one_owner_with_many_jobs_lets_others_through(bench: Bench) -> None:
    crowd = [bench.submit("crowd") for _ in range(30)]
    single = bench.submit("single")
    assert bench.in_line()[:3] == [crowd[0], single, crowd[1]]
    late = [bench.submit("late") for _ in range(3)]
    order = [bench.run_next() for _ in range(8)]
    assert order == ["crowd", "single", "late", "crowd", "late", "crowd", "late", "crowd"]
    assert len(late) == 3
    again = bench.submit("single")
    assert bench.in_line().index(again) <= 1, "who was served before stands behind one job, not behind all"


def test_an_owner_that_has_waited_long_owes_nothing_to_one_that_is_new(bench: Bench) -> None:
    for _ in range(10):
        bench.submit("first")
    for _ in range(8):
        bench.run_next()
    new = [bench.submit("new") for _ in range(10)]
    assert len(new) == 10
    assert [bench.run_next() for _ in range(4)] == ["first", "new", "first", "new"]


def test_jobs_of_nobody_come_in_their_order(bench: Bench) -> None:
    jobs = [bench.submit() for _ in range(5)]
    assert bench.in_line() == jobs


def test_priorities_go_first_and_are_bounded(bench: Bench) -> None:
    plain = bench.submit("a")
    low = bench.submit("b", priority=0)
    other = bench.submit("b", priority=5)
    assert bench.in_line() == [plain, other, low]
    with pytest.raises(InvalidRequest, match="at most 5"):
        bench.submit("b", priority=6)


@pytest.mark.parametrize("bench", [{"key_priority": 9}], indirect=True)
def test_a_run_that_was_lost_keeps_its_place(bench: Bench) -> None:
    jobs = [bench.submit("a", priority=9) for _ in range(4)]
    claim = bench.claim(jobs[0])
    assert claim is not None
    bench.services.engine.forget_run((claim.id, claim.attempt))
    assert bench.services.lifecycle.lost(claim.id, claim.attempt)
    assert bench.in_line() == jobs


@pytest.mark.parametrize("bench", [{"key_concurrency_limit": 2}], indirect=True)
def test_no_more_jobs_of_an_owner_than_it_may_have(bench: Bench) -> None:
    mine = [bench.submit("mine") for _ in range(5)]
    yours = bench.submit("yours")
    assert set(bench.in_line()) == {*mine[:2], yours}
    first, second = bench.claim(mine[0]), bench.claim(mine[1])
    assert first is not None
    assert second is not None
    assert bench.claim(mine[2]) is None, "it was never let in, and is refused all the same"
    bench.end(first)
    assert mine[2] not in bench.in_line() or mine[3] not in bench.in_line(), "one left, so one is let in"
    bench.end(second)
    bench.services.places.attend()
    assert len([job for job in bench.in_line() if job in mine]) == 2
    assert bench.services.reconciler.run_once() == 0, "who is held is not stranded"


@pytest.mark.parametrize("bench", [{"key_concurrency_limit": 2}], indirect=True)
def test_a_submission_looks_its_owners_key_up_once(bench: Bench) -> None:
    asked: list[str] = []
    note = lambda _connection, _cursor, statement, *_: asked.append(statement)  # noqa: E731
    sa.event.listen(bench.services.database.engine, "before_cursor_execute", note)
    bench.submit("mine")
    sa.event.remove(bench.services.database.engine, "before_cursor_execute", note)
    assert len([statement for statement in asked if "FROM api_keys" in statement]) == 1


@pytest.mark.parametrize("bench", [{"key_concurrency_limit": 1}], indirect=True)
def test_a_limit_counts_over_all_queues(bench: Bench) -> None:
    plain, on_gpu = bench.submit("mine"), bench.submit("mine", queue=GPU)
    assert set(bench.in_line()) == {plain, on_gpu}, "a GPU that is not there keeps nothing else waiting"
    claim = bench.claim(plain)
    assert claim is not None
    assert bench.claim(on_gpu) is None
    assert bench.services.store.get(on_gpu).held
    bench.end(claim)
    later = bench.claim(on_gpu)
    assert later is not None
    assert later.attempt == 2


@pytest.mark.parametrize("bench", [{"key_concurrency_limit": 1}], indirect=True)
def test_a_job_that_is_removed_makes_room(bench: Bench) -> None:
    jobs = [bench.submit("mine") for _ in range(2)]
    bench.services.remover.remove(jobs[0])
    bench.services.places.attend()
    assert bench.in_line() == [jobs[1]]


def test_a_job_of_an_earlier_version_gets_a_place(bench: Bench) -> None:
    job = bench.submit("a")
    bench.services.engine.forget(job, 1)
    with bench.services.database.transaction() as session:
        old = {"queue": "", "rank": 0, "created_at": Diagnosis.created_at - 60}
        session.execute(sa.update(Diagnosis).values(**old))
    bench.services.places.attend()
    row = bench.services.store.get(job)
    assert (row.queue, row.attempt) == (Place(keras2=True).queue, 2)
    assert bench.in_line() == [job]
    bench.services.places.attend()
    assert bench.services.store.get(job).attempt == 2


def test_a_run_of_an_earlier_version_that_is_lost_gets_a_place_too(bench: Bench) -> None:
    known = bench.submit()
    old = sa.update(Diagnosis).where(Diagnosis.id == known)
    with bench.services.database.transaction() as session:
        session.execute(old.values(queue="", rank=0, created_at=0.0, status="running", worker_id="gone"))
    bench.services.engine.forget_run((known, 1))
    assert bench.services.lifecycle.lost(known, 1)
    assert bench.in_line() == []
    bench.services.places.attend()
    assert bench.in_line() == [known]
    assert bench.run_next() == ""


def test_locks_of_processes_that_died_before_they_had_a_row_are_removed(bench: Bench) -> None:
    """Killed between lock and row; a lock that is held, and one whose worker has a row, stay."""
    folder = bench.services.workers._locks_dir
    (folder / "elsewhere-0123456789ab.lock").touch()
    held = ProcessLock(folder / "joining-0123456789ab.lock")
    bench.services.workers.bury()
    assert {path.stem for path in folder.glob("*.lock")} == {bench.worker_id, "joining-0123456789ab"}
    held.release()
