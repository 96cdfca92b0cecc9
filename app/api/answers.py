"""Answers in the API's forms: strict JSON, problems, reports."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel

from app.api.context import Context, wants_html
from app.api.schemas import Job, job_of
from app.blobs.base import REPORT
from app.errors import MEDIA_TYPE, NotFound, Problem
from app.inert import inert_json
from app.jobs.models import Diagnosis


class StrictJSONResponse(JSONResponse):
    """JSON that every parser reads: a number that is not finite is a fault of ours, not an answer."""

    def render(self, content: Any) -> bytes:
        return inert_json(json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))).encode()


class ProblemResponse(StrictJSONResponse):
    """An error answer."""

    media_type = MEDIA_TYPE


def problem_response(problem: Problem) -> ProblemResponse:
    return ProblemResponse(problem.document(), status_code=problem.status, headers=problem.headers)


def error_response(request: Request, problem: Problem) -> Response:
    """A problem for programs; for a browser a page that says the same."""
    request.app.state.http_metrics.problems.labels(problem.code).inc()  # a code of the catalogue, never the client's
    if not wants_html(request):
        return problem_response(problem)
    page = request.app.state.problem_page(problem.document())
    return HTMLResponse(page, status_code=problem.status, headers={**problem.headers, "Vary": "Accept"})


def model_response(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return StrictJSONResponse(model.model_dump(mode="json"), status_code=status, headers=headers)


def report_bytes(context: Context, diagnosis: Diagnosis) -> bytes:
    """The stored report, as it was written."""
    return context.services.blobs.read_output(diagnosis.id, diagnosis.attempt, REPORT)


def report_response(context: Context, diagnosis: Diagnosis, headers: dict[str, str] | None = None) -> Response:
    return Response(report_bytes(context, diagnosis), media_type="application/json", headers=headers)


def job_with_report(context: Context, diagnosis: Diagnosis) -> Job:
    """The job, with its report where it has succeeded."""
    if diagnosis.status != "succeeded":
        return job_of(diagnosis)
    try:
        report = json.loads(report_bytes(context, diagnosis))
    except NotFound:
        report = None  # removed between the two looks
    return job_of(diagnosis, report)
