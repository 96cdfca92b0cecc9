"""Accepting, finding and listing diagnoses. `lifecycle.py` changes them, `removal.py` takes them away."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import InvalidRequest, NotFound
from app.jobs import ledger, tallies
from app.jobs.database import Database, db_now
from app.jobs.engine import Engine
from app.jobs.events import record_event, state
from app.jobs.lifecycle import ending_values, record_ending
from app.jobs.line import Line
from app.jobs.models import Diagnosis, IdempotencyKey
from app.jobs.states import ENDED, OPEN, Ending, Submission


@dataclass(frozen=True)
class Filters:
    """What a list is narrowed down to. `since_s` is in seconds since 1970; `search` is part of a name or a headline."""

    status: str | None = None
    verdict: str | None = None
    cause: str | None = None
    model_name: str | None = None
    since_s: float | None = None
    search: str | None = None


class JobStore:
    """The diagnoses in the database."""

    def __init__(self, database: Database, engine: Engine, line: Line) -> None:
        self._database = database
        self._engine = engine
        self._line = line

    def submit(self, submission: Submission, key_hash: str | None) -> tuple[Diagnosis, bool]:
        """Accept a job: its row and its place in the queue in one transaction. Returns it and whether it is new.

        Raises:
            InvalidRequest: the idempotency key stood for other content before, or the priority is too high.
            TooManyRequests: the owner's quota does not have room for it.
        """
        self._engine.open(submission.queue)
        return self._submit(submission, key_hash, lambda session: self._line.enter(session, submission.id))

    def submit_ended(self, submission: Submission, key_hash: str | None, ending: Ending) -> tuple[Diagnosis, bool]:
        """The same for a job whose ending is known already: it has succeeded as soon as it is there."""

        def end(session: Session) -> None:
            changed = sa.update(Diagnosis).where(Diagnosis.id == submission.id)
            session.execute(changed.values(started_at=db_now(), **ending_values(ending)))
            record_ending(session, submission.id, 1, ending, "same content")
            tallies.add(session, [(tallies.REUSED, "", 1.0)])

        return self._submit(submission, key_hash, end)

    def _submit(
        self, submission: Submission, key_hash: str | None, then: Callable[[Session], None]
    ) -> tuple[Diagnosis, bool]:
        for _ in range(3):
            try:
                return self._insert(submission, key_hash, then), True
            except IntegrityError:
                earlier = self._earlier(submission, key_hash)
                if earlier is not None:
                    return earlier, False
        raise InvalidRequest("This Idempotency-Key is being removed; use a new one.")

    def _insert(self, submission: Submission, key_hash: str | None, then: Callable[[Session], None]) -> Diagnosis:
        with self._database.transaction() as session:
            diagnosis = _row(submission)
            share = self._line.share_of(session, submission.owner)
            diagnosis.priority = _priority(submission, share.priority)
            # What is used before the line's lock, as where a run ends: the other way round the two would deadlock.
            ledger.charge(session, submission)
            self._line.place(session, diagnosis, share)
            session.add(diagnosis)
            session.flush()
            if key_hash is not None:
                key = IdempotencyKey(
                    key_hash=key_hash, content_hash=submission.content_hash, diagnosis_id=submission.id
                )
                session.add(key)
                session.flush()
            record_event(session, submission.id, "queued", state("queued", "queued", 0.0, submission.note))
            then(session)
            session.refresh(diagnosis)
            return diagnosis

    def _earlier(self, submission: Submission, key_hash: str | None) -> Diagnosis | None:
        with self._database.transaction() as session:
            key = session.get(IdempotencyKey, key_hash) if key_hash is not None else None
            if key is None:
                return None
            if key.content_hash != submission.content_hash:
                raise InvalidRequest("This Idempotency-Key was used before with other content. Use a new key for it.")
            return session.get(Diagnosis, key.diagnosis_id)

    def get(self, diagnosis_id: str) -> Diagnosis:
        """The diagnosis, or NotFound."""
        with self._database.transaction() as session:
            diagnosis = session.get(Diagnosis, diagnosis_id)
        if diagnosis is None:
            raise NotFound(f"There is no diagnosis {diagnosis_id[:64]!r}; it may have been removed.")
        return diagnosis

    def ended_among(self, diagnosis_ids: Iterable[str]) -> set[str]:
        """Those that have ended, or are not there any more."""
        wanted = set(diagnosis_ids)
        query = sa.select(Diagnosis.id).where(Diagnosis.id.in_(wanted), Diagnosis.status.not_in(ENDED))
        with self._database.transaction() as session:
            return wanted - set(session.scalars(query))

    def known_among(self, diagnosis_ids: Iterable[str]) -> set[str]:
        """Those that are there and still own files."""
        wanted = list(diagnosis_ids)
        found: set[str] = set()
        with self._database.transaction() as session:
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                query = sa.select(Diagnosis.id).where(Diagnosis.id.in_(part), Diagnosis.status != "cancelled")
                found.update(session.scalars(query))
        return found

    def page(self, filters: Filters, limit: int, cursor: str | None) -> tuple[list[Diagnosis], str | None]:
        """The newest first, and the cursor of the next page where there is one."""
        query: sa.Select[Any] = _filtered(sa.select(Diagnosis), filters)
        if cursor is not None:
            query = query.where(sa.tuple_(Diagnosis.created_at, Diagnosis.id) < sa.tuple_(*decode_cursor(cursor)))
        query = query.order_by(Diagnosis.created_at.desc(), Diagnosis.id.desc()).limit(limit + 1)
        with self._database.transaction() as session:
            rows: list[Diagnosis] = list(session.scalars(query))
        more = len(rows) > limit
        return rows[:limit], encode_cursor(rows[limit - 1].created_at, rows[limit - 1].id) if more else None

    def queue_depth(self) -> int:
        """How many jobs wait."""
        with self._database.transaction() as session:
            return count_by_status(session).get("queued", 0)

    def waiting_of(self, owner: str) -> int:
        """How many jobs of one owner wait."""
        query = sa.select(sa.func.count()).where(Diagnosis.owner == owner, Diagnosis.status == "queued")
        with self._database.transaction() as session:
            return session.scalar(query) or 0

    def queue_figures(self) -> tuple[dict[str, int], float]:
        """Open jobs by status, and how long the oldest waiting one has waited, in seconds."""
        oldest = sa.select(db_now() - sa.func.min(Diagnosis.created_at)).where(Diagnosis.status == "queued")
        with self._database.transaction() as session:
            return count_by_status(session), max(0.0, session.scalar(oldest) or 0.0)


def count_by_status(session: Session) -> dict[str, int]:
    """The open ones. By the states that are wanted: "none of those" would read the whole history for every look."""
    query = sa.select(Diagnosis.status, sa.func.count()).where(Diagnosis.status.in_(OPEN)).group_by(Diagnosis.status)
    return {row[0]: row[1] for row in session.execute(query)}


def _priority(submission: Submission, highest: int) -> int:
    if submission.priority is not None and submission.priority > highest:
        raise InvalidRequest(f"`priority` may be at most {highest} here; {submission.priority} was asked for.")
    return highest if submission.priority is None else submission.priority


def _row(submission: Submission) -> Diagnosis:
    return Diagnosis(
        id=submission.id,
        status="queued",
        created_at=db_now(),
        options=submission.options,
        content_hash=submission.content_hash,
        model_stem=submission.model_stem,
        model_name=submission.model_stem,
        model_file=submission.model_file,
        batch_file=submission.batch_file,
        model_sha256=submission.model_sha256,
        batch_sha256=submission.batch_sha256,
        model_bytes=submission.model_bytes,
        batch_bytes=submission.batch_bytes,
        traceparent=submission.traceparent,
        owner=submission.owner,
        device=submission.device,
        memory_bytes=submission.memory_bytes,
        queue=submission.queue,
        held=False,
        note=submission.note,
    )


def _filtered(query: sa.Select[Any], filters: Filters) -> sa.Select[Any]:
    if filters.status is not None:
        query = query.where(Diagnosis.status == filters.status)
    if filters.verdict is not None:
        query = query.where(Diagnosis.verdict == filters.verdict)
    if filters.cause is not None:
        query = query.where(Diagnosis.primary_cause == filters.cause)
    if filters.model_name is not None:
        name = filters.model_name
        file_name = Diagnosis.model_stem + sa.func.substr(Diagnosis.model_file, len("model") + 1)
        query = query.where(sa.or_(Diagnosis.model_name == name, Diagnosis.model_stem == name, file_name == name))
    if filters.since_s is not None:
        query = query.where(Diagnosis.created_at >= filters.since_s)
    if filters.search is not None:
        text = filters.search.lower()
        searched = (Diagnosis.model_name, Diagnosis.model_stem, Diagnosis.headline, Diagnosis.id)
        query = query.where(sa.or_(*(sa.func.lower(column).contains(text, autoescape=True) for column in searched)))
    return query


def encode_cursor(created_at: float, row_id: str) -> str:
    """Where a page ended, for whoever asks for the next."""
    return base64.urlsafe_b64encode(f"{created_at!r}|{row_id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[float, str]:
    """What `encode_cursor` was given.

    Raises:
        InvalidRequest: it is no cursor of ours.
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        created_at, _, diagnosis_id = text.partition("|")
        return float(created_at), diagnosis_id
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("`cursor` is not one that this list has given out; start without it.") from error
