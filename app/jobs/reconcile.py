"""Finds jobs that nobody works on and gives them back. Runs beside every web and worker process, again and again.

Three kinds: running jobs whose worker is not on the list of the living; waiting jobs whose run the queue will never
hand out (their run was taken by a worker that died before it could claim, or was lost from the queue); and waiting jobs
whose run a living worker has taken and not begun for a lease (the database went away between the two). Every change
is guarded, so any number of reconcilers may run at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.jobs.database import Database, db_now
from app.jobs.engine import Engine, Run, RunState
from app.jobs.lifecycle import Lifecycle
from app.jobs.models import Diagnosis
from app.jobs.outages import is_away
from app.jobs.places import Places
from app.jobs.workers import WorkerRegistry

SETTLE_DOWN_S = 2.0
"""A job younger than this is left alone: its worker may be between taking and claiming it."""

log = structlog.get_logger(__name__)


class Reconciler:
    """Compares our rows with the living workers and with the queue."""

    def __init__(
        self, database: Database, engine: Engine, lifecycle: Lifecycle, workers: WorkerRegistry, places: Places
    ) -> None:
        self._database = database
        self._engine = engine
        self._lifecycle = lifecycle
        self._workers = workers
        self._places = places
        self._taken_at_s: dict[Run, float] = {}

    def run_once(self) -> int:
        """Give back what is lost; returns how many jobs that were."""
        try:
            return self._run_once()
        except SQLAlchemyError as error:
            if is_away(error):
                self._workers.be_patient()
            raise

    def _run_once(self) -> int:
        buried = self._workers.bury()
        if buried:
            log.warning("workers_died", workers=buried)
        self._places.attend()
        running, waiting = self._running(), self._waiting()
        states = self._engine.states(waiting)
        # The living are asked last: a worker that joined meanwhile must not be taken for a dead one.
        living = {worker.id for worker in self._workers.live()}
        lost = [(row[0], row[1]) for row in running if row[2] not in living]
        stranded = [run for run in waiting if not _in_good_hands(states.get(run), living)]
        stranded += self._never_begun({run for run in waiting if run in states and states[run].held} - {*stranded})
        return self._give_back(lost, self._lifecycle.lost, "job_lost_its_worker") + self._give_back(
            stranded, self._lifecycle.stranded, "job_was_stranded"
        )

    def give_back_abandoned(self, worker_id: str, held: Collection[Run]) -> int:
        """Jobs under a living worker's name that it does not hold, as it knows best itself. `held` is looked at
        last.
        """
        mine = [(row[0], row[1]) for row in self._running() if row[2] == worker_id]
        abandoned = [run for run in mine if run not in held]
        return self._give_back(abandoned, self._lifecycle.lost, "job_was_abandoned")

    def _never_begun(self, taken: Collection[Run]) -> list[Run]:
        """Those of the runs that workers hold and have not claimed which have been seen so for a lease."""
        now_s = time.monotonic()
        self._taken_at_s = {run: self._taken_at_s.get(run, now_s) for run in taken}
        return [run for run, since_s in self._taken_at_s.items() if now_s - since_s > self._workers.lease_seconds]

    def _give_back(self, runs: list[Run], change: Callable[[str, int], bool], event: str) -> int:
        count = 0
        for run in runs:
            if change(*run):
                log.warning(event, diagnosis_id=run[0], attempt=run[1])
                self._engine.forget_run(run)
                count += 1
        return count

    def _running(self) -> list[tuple[str, int, str | None]]:
        query = sa.select(Diagnosis.id, Diagnosis.attempt, Diagnosis.worker_id).where(Diagnosis.status == "running")
        with self._database.transaction() as session:
            return [(row[0], row[1], row[2]) for row in session.execute(query)]

    def _waiting(self) -> list[Run]:
        query = (
            sa.select(Diagnosis.id, Diagnosis.attempt)
            .where(Diagnosis.status == "queued", Diagnosis.created_at < db_now() - SETTLE_DOWN_S)
            .where(Diagnosis.held == sa.false())
            .order_by(Diagnosis.created_at)
            .limit(200)
        )
        with self._database.transaction() as session:
            return [(row[0], row[1]) for row in session.execute(query)]


def _in_good_hands(state: RunState | None, living: Collection[str]) -> bool:
    """Whether the queue will hand this run out, or has handed it to a worker that lives."""
    return state is not None and (state.waiting or (state.held and state.worker_id in living))
