"""Files first, then the row that speaks of them: what becomes of the files if the row cannot be written, or if nobody
knows whether it was.

A connection that breaks while a transaction is committed leaves that open: the database may have it, and a worker may
be running the job already. Files that are removed then are missed by a job that was accepted.
"""

from __future__ import annotations

from collections.abc import Callable

from app.blobs.base import BlobStore
from app.jobs.models import Diagnosis
from app.jobs.outages import is_away
from app.jobs.states import Submission
from app.jobs.store import JobStore


def enqueue(blobs: BlobStore, store: JobStore, submission: Submission, key_hash: str | None) -> Diagnosis:
    """Make a job of a received upload; the earlier diagnosis where the idempotency key has one.

    Raises:
        StoreAway: the upload could not be stored.
    """
    blobs.accept(submission.id)
    return with_row(blobs, submission.id, lambda: store.submit(submission, key_hash))


def with_row(blobs: BlobStore, diagnosis_id: str, write: Callable[[], tuple[Diagnosis, bool]]) -> Diagnosis:
    """Write the row of files that are in the store. `write` gives a diagnosis and whether it is the one of these files;
    if it is not, or it failed, they are removed. If it may have succeeded all the same, a sweep finds that out.
    """
    try:
        diagnosis, is_new = write()
    except BaseException as error:
        drop = blobs.doubt if is_away(error) else blobs.remove
        drop(diagnosis_id)
        raise
    if not is_new:
        blobs.remove(diagnosis_id)
    return diagnosis
