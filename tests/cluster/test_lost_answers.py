"""A database that goes away between what is asked and its answer: nothing is taken for undone that was done, and no job
pays for it. Each moment is made by hand: on a commit, before it or after it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

import app.jobs.outages
from app.accepting import enqueue
from app.blobs.local import ORPHAN_AGE_S
from app.errors import NotFound, StoreAway
from app.jobs.models import Diagnosis
from app.jobs.needs import Place
from app.jobs.states import Submission
from app.sandbox.host import SandboxUnavailable
from app.sandbox.protocol import Outcome
from app.services import Services, prepare
from app.settings import Settings
from app.worker.devices import Device
from app.worker.runner import JobRunner
from app.worker.slots import Slots
from tests.app.double import ScriptedSandbox, script

HASH = "0" * 64
ID = "0a" + 30 * "1"


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setattr(app.jobs.outages, "PAUSE_S", 0.01)
    settings = Settings(data_dir=tmp_path / "data")
    prepare(settings)
    found = Services(settings)
    yield found
    found.close()


def break_at(moment: str) -> None:
    """The connection breaks once: `before_commit`, so that nothing is done, or `after_commit`, its answer under way."""

    def lose(_: Session) -> None:
        raise OperationalError("COMMIT", {}, Exception("the connection is lost"), connection_invalidated=True)

    sa.event.listen(Session, moment, lose, once=True)


def submit(services: Services) -> None:
    folder = services.blobs.receive(ID)
    (folder / "model.keras").write_bytes(script())
    (folder / "batch.npz").write_bytes(b"PK")
    sizes = len(script()), 2
    submission = Submission(ID, "tiny", "model.keras", "batch.npz", HASH, HASH, *sizes, {}, HASH)
    enqueue(services.blobs, services.store, submission, None)


def files(services: Services) -> int:
    """Uploads in the store."""
    return len(
        [path for path in (services.settings.data_dir / "blobs").rglob("*") if path.suffix in (".keras", ".npz")]
    )


def submit_and_fail(services: Services, moment: str) -> None:
    services.engine.open(Place().queue)  # a transaction of its own, which is not to be the one that breaks
    break_at(moment)
    with pytest.raises(OperationalError):
        submit(services)
    services.blobs.discard(ID)


def sweep_when_old(services: Services) -> None:
    home = services.settings.data_dir / "blobs" / "diagnoses" / ID
    os.utime(home, (home.stat().st_atime, home.stat().st_mtime - ORPHAN_AGE_S - 60))
    services.remover.sweep_files()


class Guests(ScriptedSandbox):
    """Plays the script, then the connection breaks, and the run ends as told."""

    def __init__(self, moment: str | None = None, end: Outcome | Exception | None = None) -> None:
        self._moment, self._end = moment, end
        self.has_played = False

    def run(self, *given: Any, **named: Any) -> Outcome:
        outcome = super().run(*given, **named)
        self.has_played = True
        if self._moment is not None:
            break_at(self._moment)
        if isinstance(self._end, Exception):
            raise self._end
        return self._end or outcome


def run(services: Services, guests: Guests, *, leaving: bool = False, claim_breaks: bool = False) -> Diagnosis:
    """Run the job once, as a worker does that took it; what is said of it then. One that is `leaving` does so once the
    guest has played.
    """
    worker_id, lock = services.workers.join(1, None)
    slots = Slots([Device("cpu", 1)], lambda _: None)
    slots.take([(ID, 1)], Place().queue)
    doubt = lambda _: None  # noqa: E731
    runner = JobRunner(services, guests, worker_id, lambda: leaving and guests.has_played, None, slots, doubt)
    if claim_breaks:
        break_at("after_commit")
    try:
        runner.run_job(ID, 1)
    finally:
        lock.release()
    return services.store.get(ID)


def test_an_upload_is_kept_whose_row_is_there_though_nobody_said_so(services: Services) -> None:
    submit_and_fail(services, "after_commit")
    assert services.store.get(ID).status == "queued"
    sweep_when_old(services)
    assert run(services, Guests()).status == "succeeded"


def test_an_upload_goes_with_a_later_sweep_if_its_row_is_not_there(services: Services) -> None:
    submit_and_fail(services, "before_commit")
    with pytest.raises(NotFound):
        services.store.get(ID)
    assert files(services) == 2, "nobody can tell it from the other case"
    sweep_when_old(services)
    assert files(services) == 0


def test_a_claim_whose_answer_was_lost_is_run_all_the_same(services: Services) -> None:
    submit(services)
    found = run(services, Guests(), claim_breaks=True)
    assert (found.status, found.attempt, found.crashes) == ("succeeded", 1, 0)


def test_nobody_has_what_another_worker_claimed(services: Services) -> None:
    submit(services)
    first, second = (services.workers.join(1, None)[0] for _ in range(2))
    assert services.lifecycle.claim(ID, 1, first) is not None
    assert services.lifecycle.claim(ID, 1, second) is None


@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
@pytest.mark.parametrize("end", [StoreAway(), SandboxUnavailable("it is gone")], ids=["store", "sandbox"])
def test_a_run_is_given_back_though_the_database_is_away_too(services: Services, end: Exception, moment: str) -> None:
    submit(services)
    found = run(services, Guests(moment, end))
    assert (found.status, found.attempt) == ("queued", 2)
    assert found.crashes == (1 if isinstance(end, SandboxUnavailable) else 0)


@pytest.mark.parametrize("outcome", ["cancelled", "succeeded"])
def test_a_worker_that_leaves_while_the_database_is_away_fails_no_job(services: Services, outcome: str) -> None:
    submit(services)
    end = Outcome(kind="cancelled") if outcome == "cancelled" else None
    found = run(services, Guests("before_commit", end), leaving=True)
    assert (found.status, found.error_code) == ("running", None), "its worker's end gives it back"
