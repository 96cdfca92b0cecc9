"""`/diagnoses`: the job, its report, its repaired model, the list, and removal."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from pydantic import BeforeValidator, WithJsonSchema

from analyzers.report import Report, Verdict
from app.api.answers import job_with_report, model_response, problem_response, report_bytes, report_response
from app.api.context import context_of, wants_html
from app.api.downloads import download
from app.api.openapi import STORE_AWAY, content, problems
from app.api.schemas import Job, JobPage, summary_of
from app.api.vocabulary import CauseCode
from app.blobs.base import REPAIRED
from app.errors import InputProblem, NotFinished, NotFound
from app.jobs.models import Diagnosis
from app.jobs.states import Status
from app.jobs.store import Filters

router = APIRouter(prefix="/diagnoses", tags=["diagnoses"])

DiagnosisId = Annotated[str, Path(description="The `id` of a diagnosis.", max_length=64)]
PAGE_LIMIT = 100
LATEST_S = 20_000_000_000
MOMENT = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "date"},
        {"type": "number", "minimum": 0, "maximum": LATEST_S},
    ]
}
"""What is read as a moment. A larger number would be read as milliseconds."""


def _no_odd_number(value: object) -> object:
    try:
        seconds = float(str(value))
    except ValueError:
        return value  # a date, or nonsense that is refused later
    if not 0 <= seconds <= LATEST_S:
        raise ValueError(f"a number must lie between 0 and {LATEST_S}")
    return value


@router.get("", response_model=JobPage, responses=problems("invalid_request"))
def list_diagnoses(
    request: Request,
    status: Annotated[Status | None, Query(description="Only those in this state.")] = None,
    verdict: Annotated[Verdict | None, Query(description="Only those with this verdict.")] = None,
    cause: Annotated[CauseCode | None, Query(description="Only those with this primary cause.")] = None,
    model_name: Annotated[
        str | None, Query(description="Only those of this model, by its name or its file's.", max_length=200)
    ] = None,
    since: Annotated[
        datetime | None,
        Query(description="Only those submitted at or after this time, or these seconds since 1970."),
        BeforeValidator(_no_odd_number),
        WithJsonSchema(MOMENT),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="Length of a page.")] = 20,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.", max_length=200)] = None,
) -> Response:
    """All diagnoses, newest first."""
    since_s = _utc(since).timestamp() if since else None
    filters = Filters(status=status, verdict=verdict, cause=cause, model_name=model_name, since_s=since_s)
    rows, next_cursor = context_of(request).services.store.page(filters, limit, cursor)
    return model_response(JobPage(items=[summary_of(row) for row in rows], next_cursor=next_cursor))


@router.get("/{diagnosis_id}", response_model=Job, responses=problems("invalid_request", "not_found") | STORE_AWAY)
def get_diagnosis(request: Request, diagnosis_id: DiagnosisId) -> Response:
    """The job, with its report once it has succeeded and its error once it has failed."""
    context = context_of(request)
    diagnosis = context.services.store.get(diagnosis_id)
    headers = {}
    if diagnosis.status in ("queued", "running"):
        headers["Retry-After"] = str(context.settings.retry_after_seconds)
    return model_response(job_with_report(context, diagnosis), headers=headers)


@router.get(
    "/{diagnosis_id}/report",
    response_model=Report,
    responses=content("text/html", "The report")
    | problems("invalid_request", "not_found", "not_finished")
    | STORE_AWAY,
)
def get_report(request: Request, diagnosis_id: DiagnosisId) -> Response:
    """The report: JSON, or a page to a client that prefers HTML. A failed diagnosis answers with its problem."""
    context = context_of(request)
    diagnosis = context.services.store.get(diagnosis_id)
    if wants_html(request):
        return _page(request, diagnosis)
    if diagnosis.status == "succeeded":
        return report_response(context, diagnosis, {"Vary": "Accept"})
    raise _no_report(diagnosis)


@router.get(
    "/{diagnosis_id}/model",
    response_class=FileResponse,
    responses=content("application/octet-stream", "The repaired model")
    | {206: {"description": "The part of it that `Range` asks for.", "content": {"application/octet-stream": {}}}}
    | {416: problems("invalid_request")[422]}
    | problems("invalid_request", "not_found", "not_finished")
    | STORE_AWAY,
)
def get_model(request: Request, diagnosis_id: DiagnosisId) -> Response:
    """The repaired model in the format of the upload, where a remedy changed only stored state."""
    context = context_of(request)
    diagnosis = context.services.store.get(diagnosis_id)
    if diagnosis.status in ("queued", "running"):
        raise _no_report(diagnosis)
    if not diagnosis.has_repaired_model:
        raise NotFound("This diagnosis has no repaired model: no remedy was found that changes stored state only.")
    stored = context.services.blobs.output(diagnosis.id, diagnosis.attempt, REPAIRED)
    return download(stored, _download_name(diagnosis))


@router.delete("/{diagnosis_id}", status_code=204, responses=problems("invalid_request", "not_found") | STORE_AWAY)
def delete_diagnosis(request: Request, diagnosis_id: DiagnosisId) -> Response:
    """Remove the uploads, the report and everything derived; a job that has not ended is cancelled."""
    context_of(request).services.remover.remove(diagnosis_id)
    return Response(status_code=204)


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _no_report(diagnosis: Diagnosis) -> InputProblem | NotFinished | NotFound:
    if diagnosis.status == "failed":
        return InputProblem(diagnosis.error_code or "internal", diagnosis.error_detail or "", id=diagnosis.id)
    if diagnosis.status == "cancelled":
        return NotFound("This diagnosis was cancelled and has no report.")
    detail = f"The diagnosis is {diagnosis.status} ({diagnosis.stage}, {diagnosis.fraction:.0%}). Ask again later."
    return NotFinished(detail, headers={"Retry-After": "2"}, id=diagnosis.id, diagnosis_status=diagnosis.status)


def _page(request: Request, diagnosis: Diagnosis) -> Response:
    """The report as a page; before there is one, a page that says how far it is and comes back by itself."""
    context = context_of(request)
    headers = {"Vary": "Accept"}
    if diagnosis.status == "succeeded":
        report: dict[str, Any] = Report.model_validate_json(report_bytes(context, diagnosis)).model_dump(mode="json")
        return HTMLResponse(context.report_page(request, diagnosis, report), headers=headers)
    status = problem_response(_no_report(diagnosis)).status_code
    return HTMLResponse(context.waiting_page(diagnosis), status_code=status, headers=headers)


def _download_name(diagnosis: Diagnosis) -> str:
    stem = re.sub(r"[^\w .()+-]", "_", diagnosis.model_stem) or "model"
    return f"{stem}-repaired{diagnosis.model_file.removeprefix('model')}"
