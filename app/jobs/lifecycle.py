"""Every change of a job that runs. Each is one guarded `UPDATE … WHERE`: who comes second changes nothing.

The guard is (diagnosis, attempt, status). A run that was declared lost, let go or deleted has an attempt or a
status that no row has any more, so its result is refused, whatever its worker still believes.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs import ledger, tallies
from app.jobs.database import Database, db_now, hits
from app.jobs.events import record_event, state
from app.jobs.line import Line
from app.jobs.models import Diagnosis, Settlement, Worker
from app.jobs.states import Claim, Ending

GIVEN_UP = (
    "The process that ran this diagnosis died {crashes} times, so it was given up. Most likely model and batch need "
    "more memory than the server has, or crash TensorFlow; try a smaller batch."
)


class Lifecycle:
    """Claims, progress, endings and returns to the queue."""

    def __init__(self, database: Database, line: Line, attempts_limit: int) -> None:
        self._database = database
        self._line = line
        self._attempts_limit = attempts_limit

    def claim(self, diagnosis_id: str, attempt: int, worker_id: str) -> Claim | None:
        """Take a run that waits. None: it was taken, cancelled or overtaken by a later attempt, has to wait until its
        owner has room, or the worker has been declared dead meanwhile: its run would be found lost at once, and count
        as a crash. Who asks again, because the answer was lost with the connection, has it still.
        """
        lives = sa.exists().where(Worker.id == worker_id)
        changed = (
            _guarded(diagnosis_id, attempt, "queued")
            .where(lives)
            .values(
                status="running",
                worker_id=worker_id,
                started_at=sa.func.coalesce(Diagnosis.started_at, db_now()),
                stage="starting",
                fraction=0.0,
                note=None,  # that nobody could run it
            )
        )
        with self._database.transaction() as session:
            if self._has_room(session, diagnosis_id, attempt) and hits(session, changed):
                record_event(session, diagnosis_id, "running", state("running", "starting", 0.0))
            elif not _has_claimed(session, diagnosis_id, attempt, worker_id):
                return None
            row = session.execute(
                sa.select(Diagnosis, db_now())
                .where(Diagnosis.id == diagnosis_id)
                .execution_options(populate_existing=True)
            ).one()
            return _claim(row[0], row[1])

    def _has_room(self, session: Session, diagnosis_id: str, attempt: int) -> bool:
        """Whether the job's owner may have one more that runs. Else it is held, and its next run is a new one."""
        owner = session.scalar(sa.select(Diagnosis.owner).where(Diagnosis.id == diagnosis_id))
        if not owner or self._line.may_run(session, owner):
            return True
        held = _guarded(diagnosis_id, attempt, "queued").values(held=True, attempt=Diagnosis.attempt + 1)
        hits(session, held)
        return False

    def progress(self, claim: Claim, stage: str, fraction: float, note: str | None = None) -> None:
        """Note how far a run has come. A note stands until another takes its place."""
        values: dict[str, Any] = {"stage": stage, "fraction": fraction} | ({"note": note} if note else {})
        changed = _guarded(claim.id, claim.attempt, "running").values(**values)
        with self._database.transaction() as session:
            if hits(session, changed):
                record_event(session, claim.id, "progress", state("running", stage, fraction, note))

    def holds(self, claim: Claim) -> bool:
        """Whether the run is still wanted: not cancelled, deleted or given to another worker."""
        return self.is_running(claim.id, claim.attempt)

    def is_running(self, diagnosis_id: str, attempt: int) -> bool:
        """Whether this very run goes on, as far as the database knows."""
        query = sa.select(Diagnosis.id).where(
            Diagnosis.id == diagnosis_id, Diagnosis.attempt == attempt, Diagnosis.status == "running"
        )
        with self._database.transaction() as session:
            return session.scalar(query) is not None

    def settle(self, claim: Claim, ending: Ending) -> bool:
        """Record how a run ended, once. False: the run was not wanted any more, and nothing was recorded.

        Who asks again, because the answer was lost with the connection, hears the same.
        """
        changed = _guarded(claim.id, claim.attempt, "running").values(**ending_values(ending))
        with self._database.transaction() as session:
            if not hits(session, changed):
                return _has_settled(session, claim)
            record_ending(session, claim.id, claim.attempt, ending, claim.worker_id)
            self._line.let_in(session, claim.owner)
            return True

    def let_go(self, claim: Claim) -> bool:
        """Put a run back that its worker gives up on purpose; it does not count as a crash."""
        return self._requeue(claim.id, claim.attempt, "running", "let_go")

    def put_off(self, claim: Claim, reason: str) -> bool:
        """Put a run back whose files could not be had here; neither the job nor its process is to blame."""
        return self._requeue(claim.id, claim.attempt, "running", reason)

    def lost(self, diagnosis_id: str, attempt: int, detail: str | None = None) -> bool:
        """A running job whose process died: back into the queue, or given up after too many deaths."""
        with self._database.transaction() as session:
            crashes = session.scalar(
                sa.select(Diagnosis.crashes).where(Diagnosis.id == diagnosis_id, Diagnosis.attempt == attempt)
            )
        if crashes is None:
            return False
        if crashes + 1 >= self._attempts_limit:
            return self._give_up(diagnosis_id, attempt, crashes + 1, detail)
        return self._requeue(diagnosis_id, attempt, "running", "lost", crashes=1)

    def stranded(self, diagnosis_id: str, attempt: int) -> bool:
        """A waiting job whose run the queue will not hand out: enqueue it anew."""
        return self._requeue(diagnosis_id, attempt, "queued", "stranded")

    def _requeue(self, diagnosis_id: str, attempt: int, status: str, reason: str, crashes: int = 0) -> bool:
        changed = _guarded(diagnosis_id, attempt, status).values(
            status="queued",
            attempt=Diagnosis.attempt + 1,
            crashes=Diagnosis.crashes + crashes,
            worker_id=None,
            stage="queued",
            fraction=0.0,
            note=None,
        )
        with self._database.transaction() as session:
            if not hits(session, changed):
                return False
            record_event(session, diagnosis_id, "queued", state("queued", "queued", 0.0))
            self._line.enter(session, diagnosis_id)
            tallies.add(session, [(tallies.REQUEUED, tallies.label(reason), 1.0)])
            return True

    def _give_up(self, diagnosis_id: str, attempt: int, crashes: int, detail: str | None) -> bool:
        reason = f"{detail} It was tried {crashes} times." if detail else GIVEN_UP.format(crashes=crashes)
        ending = Ending("failed", error_code="worker_crashed", error_detail=reason)
        changed = _guarded(diagnosis_id, attempt, "running").values(crashes=crashes, **ending_values(ending))
        with self._database.transaction() as session:
            if not hits(session, changed):
                return False
            record_ending(session, diagnosis_id, attempt, ending, "reconciler")
            return True


def _guarded(diagnosis_id: str, attempt: int, status: str) -> sa.Update:
    return sa.update(Diagnosis).where(
        Diagnosis.id == diagnosis_id, Diagnosis.attempt == attempt, Diagnosis.status == status
    )


def _has_claimed(session: Session, diagnosis_id: str, attempt: int, worker_id: str) -> bool:
    own = sa.select(Diagnosis.id).where(Diagnosis.id == diagnosis_id, Diagnosis.worker_id == worker_id)
    return session.scalar(own.where(Diagnosis.attempt == attempt, Diagnosis.status == "running")) is not None


def _has_settled(session: Session, claim: Claim) -> bool:
    own = sa.select(Settlement.number).where(
        Settlement.diagnosis_id == claim.id,
        Settlement.attempt == claim.attempt,
        Settlement.settled_by == claim.worker_id,
    )
    return session.scalar(own) is not None


def ending_values(ending: Ending) -> dict[str, Any]:
    values: dict[str, Any] = {
        "status": ending.status,
        "finished_at": db_now(),
        "stage": "done",
        "fraction": 1.0,
        "verdict": ending.verdict,
        "primary_cause": ending.primary_cause,
        "severity": ending.severity,
        "headline": ending.headline,
        "error_code": ending.error_code,
        "error_detail": ending.error_detail,
        "has_repaired_model": ending.has_repaired_model,
        "edition": ending.edition,
    }
    return values | ({"model_name": ending.model_name} if ending.model_name else {})


def record_ending(session: Session, diagnosis_id: str, attempt: int, ending: Ending, by: str) -> None:
    ledger.charge_run(session, diagnosis_id)
    found = {"verdict": ending.verdict, "error_code": ending.error_code}
    record_event(session, diagnosis_id, ending.status, state(ending.status, "done", 1.0) | found)
    session.execute(
        sa.insert(Settlement).values(
            diagnosis_id=diagnosis_id, attempt=attempt, status=ending.status, settled_by=by, at=db_now()
        )
    )
    tallies.add(session, tallies.increments_of(ending))


def _claim(row: Diagnosis, now_s: float) -> Claim:
    return Claim(
        id=row.id,
        attempt=row.attempt,
        worker_id=row.worker_id or "",
        created_at=row.created_at,
        started_at=now_s if row.started_at is None else row.started_at,
        claimed_at=now_s,
        model_file=row.model_file,
        batch_file=row.batch_file,
        model_sha256=row.model_sha256,
        batch_sha256=row.batch_sha256,
        model_bytes=row.model_bytes,
        batch_bytes=row.batch_bytes,
        options=row.options,
        traceparent=row.traceparent,
        device=row.device,
        owner=row.owner,
    )
