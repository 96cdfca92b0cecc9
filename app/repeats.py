"""The same content again: its report is given anew, and nothing is run twice.

A repeat is a diagnosis of its own, with its own files: removing either leaves the other whole. Only reports count that
an edition of the analysis has made which a living worker runs, and only those of the same owner: that another one has
sent this content before is nobody's business.
"""

from __future__ import annotations

import sqlalchemy as sa

from app.accepting import with_row
from app.blobs.base import REPAIRED, REPORT, BlobStore
from app.errors import NotFound, StoreAway
from app.jobs.database import Database
from app.jobs.models import Diagnosis
from app.jobs.states import Ending, Submission
from app.jobs.store import JobStore
from app.jobs.workers import WorkerRegistry

FIRST = 1
"""The attempt that a repeat counts as: files are kept by attempts."""


class Repeats:
    """Answers submissions whose report is there already."""

    def __init__(self, database: Database, store: JobStore, workers: WorkerRegistry, blobs: BlobStore) -> None:
        self._database, self._store, self._workers, self._blobs = database, store, workers, blobs

    def answer(self, submission: Submission, key_hash: str | None) -> Diagnosis | None:
        """The submission as a diagnosis that has succeeded, None where it has to be run.

        Raises:
            InvalidRequest: the idempotency key stood for other content before.
            TooManyRequests: the owner's quota does not have room for it.
        """
        earlier = self._earlier(submission)
        if earlier is None or not self._copy(earlier, submission.id):
            return None
        ending = _ending_of(earlier)
        return with_row(self._blobs, submission.id, lambda: self._store.submit_ended(submission, key_hash, ending))

    def _earlier(self, submission: Submission) -> Diagnosis | None:
        editions = {worker.edition for worker in self._workers.live()} - {None}
        query = (
            sa.select(Diagnosis)
            .where(Diagnosis.content_hash == submission.content_hash, Diagnosis.owner == submission.owner)
            .where(Diagnosis.status == "succeeded")
            .where(Diagnosis.edition.in_(editions))
            .order_by(Diagnosis.created_at.desc())
            .limit(1)
        )
        with self._database.transaction() as session:
            return session.scalar(query) if editions else None

    def _copy(self, earlier: Diagnosis, diagnosis_id: str) -> bool:
        """Give the new diagnosis the files of the earlier one; False where they cannot be had."""
        try:
            report = self._blobs.read_output(earlier.id, earlier.attempt, REPORT)
            if earlier.has_repaired_model:
                self._blobs.link_output((earlier.id, earlier.attempt), (diagnosis_id, FIRST), REPAIRED)
            renamed = report.replace(earlier.id.encode(), diagnosis_id.encode())
            self._blobs.write_output(diagnosis_id, FIRST, REPORT, renamed)
        except (NotFound, FileNotFoundError, StoreAway):  # it is being removed, or the store fails: run it then
            self._blobs.remove(diagnosis_id)
            return False
        return True


def _ending_of(earlier: Diagnosis) -> Ending:
    return Ending(
        "succeeded",
        model_name=earlier.model_name,
        verdict=earlier.verdict,
        primary_cause=earlier.primary_cause,
        severity=earlier.severity,
        headline=earlier.headline,
        has_repaired_model=earlier.has_repaired_model,
        edition=earlier.edition,
    )
