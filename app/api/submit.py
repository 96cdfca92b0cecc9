"""`POST /diagnose`: receive, accept, wait as long as was asked for, answer.

What can be refused without the body is refused before a byte of it is read, in this order: too many requests, body
declared too large, disk full, store away, quota used up, queue full. From `accept` on the job is stored and in the
queue; a client that goes away then does not take it along.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from opentelemetry import trace
from starlette.requests import ClientDisconnect

from app.accepting import enqueue
from app.api.answers import model_response, report_response
from app.api.context import Context, context_of, wants_html
from app.api.fetched import fetch_all
from app.api.openapi import SUBMIT_DESCRIPTION
from app.api.pace import paced
from app.api.prefer import Waiting, parse_waiting
from app.api.rights import caller_of
from app.api.schemas import job_of
from app.api.upload import Upload, check_encoding, feed_all, in_pieces, new_diagnosis_id
from app.errors import (
    Conflict,
    InputProblem,
    InsufficientStorage,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    QueueFull,
    StoreAway,
)
from app.jobs.models import Diagnosis
from app.jobs.states import OPEN, Submission
from app.services import Services
from app.traces import current_traceparent

KEY_LIMIT = 255
FULL_SECONDS = 0.1
"""How long a queue that was found full is taken for full unasked: a crowd that is refused must cost next to nothing."""

log = structlog.get_logger(__name__)
router = APIRouter(tags=["diagnoses"])


@router.post("/diagnose", **SUBMIT_DESCRIPTION)
async def diagnose(request: Request) -> Response:
    """Diagnose a model on a sample batch.

    Answers 200 with the report if it is ready in time, else 202 with the job; `Prefer` says how long to wait.
    """
    context = context_of(request)
    key_hash = _key_hash(request)
    settings = context.settings
    waiting = parse_waiting(request.headers.getlist("prefer"), settings.wait_seconds, settings.wait_limit_seconds)
    check_encoding(request.headers.get("content-encoding", ""))
    _check_length(request, context)
    caller = caller_of(request.scope)
    await asyncio.to_thread(
        context.services.ledger.check_room, caller.owner, caller.quota, _least_bytes(request, context)
    )
    async with _place_in_queue(context, caller.owner):
        submission = await _receive(request, context)
        note = context.readiness.unserved(submission.queue)
        submission = replace(
            submission, owner=caller.owner, quota=caller.quota, traceparent=current_traceparent(), note=note
        )
        _note_size(request, submission)
        diagnosis = await context.in_accepting_thread(_accept, context, submission, key_hash)
    _note_accepted(diagnosis)
    if wants_html(request):
        return RedirectResponse(f"/diagnoses/{diagnosis.id}/report", status_code=303)
    # Who cannot be served now is told so, not kept waiting.
    is_open = diagnosis.status in OPEN and note is None
    await context.watch.ended(diagnosis.id, waiting.seconds if is_open else 0.0)
    return await _answer(context, diagnosis.id, waiting)


def _key_hash(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= KEY_LIMIT:
        raise InvalidRequest(f"Idempotency-Key must have 1 to {KEY_LIMIT} characters.")
    return hashlib.sha256(f"{caller_of(request.scope).owner}\n{key}".encode()).hexdigest()


def _least_bytes(request: Request, context: Context) -> int:
    """How many bytes of files the body has at least, as far as it says; the rest may be fields and framing."""
    settings = context.settings
    around = settings.request_limit_bytes - settings.model_limit_bytes - settings.batch_limit_bytes
    return max(0, _declared_bytes(request) - around)


def _declared_bytes(request: Request) -> int:
    """How long the body says it is; 0 where it does not."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdigit() else 0


def _check_length(request: Request, context: Context) -> None:
    limit = context.settings.request_limit_bytes
    declared = _declared_bytes(request)
    if declared > limit:
        raise PayloadTooLarge(f"The body has {declared} bytes; at most {limit} are accepted.")
    if context.services.blobs.free_bytes() < declared + context.settings.disk_reserve_bytes:
        raise InsufficientStorage("The server has too little free disk space for this upload. Try again later.")
    if not context.services.blobs.is_there():
        raise _cannot_be_stored()


@asynccontextmanager
async def _place_in_queue(context: Context, owner: str) -> AsyncIterator[None]:
    """Hold a place from before the body is read until its row is there: uploads under way count as waiting jobs."""
    too_many = f"{context.settings.queue_limit_jobs} diagnoses are waiting or being uploaded already"
    if time.monotonic() < context.full_until_s:
        raise _queue_full(context, too_many)
    depth = await asyncio.to_thread(context.services.store.queue_depth)
    if depth + context.uploads_under_way >= context.settings.queue_limit_jobs:
        context.full_until_s = time.monotonic() + FULL_SECONDS
        raise _queue_full(context, too_many)
    if owner:
        await asyncio.to_thread(_check_own_places, context, owner)
    context.uploads_under_way += 1
    try:
        yield
    finally:
        context.uploads_under_way -= 1


def _cannot_be_stored() -> InsufficientStorage:
    """What a store that is away means to who sends something."""
    detail = "The service cannot reach its store of files, so it accepts nothing at the moment. Try again later."
    return InsufficientStorage(detail, headers=StoreAway().headers)


def _check_own_places(context: Context, owner: str) -> None:
    places = max(1, int(context.settings.queue_limit_jobs * context.settings.key_queue_fraction))
    if context.services.store.waiting_of(owner) >= places:
        raise _queue_full(context, f"{places} diagnoses of this API key are waiting already")


def _queue_full(context: Context, why: str) -> QueueFull:
    return QueueFull(
        f"{why}, as many as may. Try again after the time in Retry-After.",
        headers={"Retry-After": str(context.settings.queue_full_retry_after_seconds)},
    )


async def _receive(request: Request, context: Context) -> Submission:
    """Take the body in; what is not taken in whole leaves nothing behind."""
    diagnosis_id = new_diagnosis_id()
    blobs = context.services.blobs
    folder = await asyncio.to_thread(blobs.receive, diagnosis_id)
    received = False
    try:
        upload = Upload(context.settings, request.headers.get("content-type", ""), folder, diagnosis_id)
        try:
            async with asyncio.timeout(context.settings.upload_grace_seconds) as limit:
                await feed_all(upload.feed, in_pieces(paced(request.stream(), limit, context.settings)))
            await fetch_all(upload, context)
            submission = upload.finish()
            received = True
            return submission
        finally:
            upload.close()
    except TimeoutError as error:
        limit_s, floor = context.settings.upload_seconds, context.settings.upload_floor_bytes_per_second
        detail = f"The upload took longer than {limit_s:g} seconds, or came slower than {floor} bytes a second."
        raise InvalidRequest(detail) from error
    except ClientDisconnect as error:
        raise InvalidRequest("The client went away before the body had ended.") from error
    finally:
        if not received:
            await asyncio.shield(asyncio.to_thread(blobs.discard, diagnosis_id))


def _note_size(request: Request, submission: Submission) -> None:
    seen = request.app.state.http_metrics.upload_bytes
    seen.labels("model").observe(submission.model_bytes)
    seen.labels("batch").observe(submission.batch_bytes)


def _note_accepted(diagnosis: Diagnosis) -> None:
    trace.get_current_span().set_attribute("phasegap.diagnosis_id", diagnosis.id)
    log.info(
        "accepted",
        diagnosis_id=diagnosis.id,
        status=diagnosis.status,
        model_bytes=diagnosis.model_bytes,
        batch_bytes=diagnosis.batch_bytes,
    )


def _accept(context: Context, submission: Submission, key_hash: str | None) -> Diagnosis:
    """Make a job of it; where a report on the same content is there, without running it. In a thread, to its end."""
    services = context.services
    try:
        repeated = services.repeats.answer(submission, key_hash) if context.settings.reuse_reports else None
        return repeated or _enqueue(services, submission, key_hash)
    finally:
        services.blobs.discard(submission.id)  # after `accept` nothing of it is wanted here


def _enqueue(services: Services, submission: Submission, key_hash: str | None) -> Diagnosis:
    try:
        return enqueue(services.blobs, services.store, submission, key_hash)
    except StoreAway as error:
        raise _cannot_be_stored() from error


async def _answer(context: Context, diagnosis_id: str, waiting: Waiting) -> Response:
    headers = {"Location": f"/diagnoses/{diagnosis_id}"}
    if waiting.applied is not None:
        headers["Preference-Applied"] = waiting.applied
    try:
        diagnosis = await asyncio.to_thread(context.services.store.get, diagnosis_id)
    except NotFound as error:
        raise Conflict("The diagnosis was removed while it ran.") from error
    if diagnosis.status == "succeeded":
        with suppress(StoreAway):  # it was accepted all the same: whoever sends it again would have it run again
            return await asyncio.to_thread(report_response, context, diagnosis, headers)
    if diagnosis.status == "failed":
        code, detail = diagnosis.error_code or "internal", diagnosis.error_detail or ""
        raise InputProblem(code, detail, headers=headers, id=diagnosis.id)
    if diagnosis.status == "cancelled":
        raise Conflict("The diagnosis was cancelled while it ran.", headers=headers, id=diagnosis.id)
    headers["Retry-After"] = str(context.settings.retry_after_seconds)
    return model_response(job_of(diagnosis), 202, headers)
