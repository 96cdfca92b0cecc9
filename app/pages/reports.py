"""The report's page, which `app.api` serves at the report's address; beside it the page as one file and plots' data."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from analyzers.report import Report
from app.api.answers import report_bytes
from app.api.context import Context, context_of
from app.api.diagnoses import DiagnosisId
from app.errors import NotFinished, NotFound
from app.jobs.models import Diagnosis
from app.jobs.store import Filters
from app.pages import rendering
from app.pages.figures import figures_of

OTHERS_OFFERED = 30
MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}

router = APIRouter(prefix="/diagnoses", include_in_schema=False)


def page(request: Request, diagnosis: Diagnosis, report: dict[str, Any]) -> str:
    """The report's page, with the other diagnoses of its model to compare it with."""
    filters = Filters(status="succeeded", model_name=diagnosis.model_name)
    rows, _ = context_of(request).services.store.page(filters, OTHERS_OFFERED + 1, None)
    others = [row for row in rows if row.id != diagnosis.id and row.model_name == diagnosis.model_name]
    layer = request.query_params.get("layer", "")
    position = int(layer) if layer.isascii() and layer.isdigit() and len(layer) < 6 else None
    return rendering.report_page(diagnosis, report, position, others[:OTHERS_OFFERED])


def finished(context: Context, diagnosis_id: str) -> tuple[Diagnosis, dict[str, Any]]:
    """A diagnosis and its report, or the problem that there is none."""
    diagnosis = context.services.store.get(diagnosis_id)
    if diagnosis.status in ("queued", "running"):
        raise NotFinished(f"The diagnosis is {diagnosis.status}. Ask again later.", headers={"Retry-After": "2"})
    if diagnosis.status != "succeeded":
        raise NotFound(f"This diagnosis has {diagnosis.status} and has no report.")
    report: dict[str, Any] = Report.model_validate_json(report_bytes(context, diagnosis)).model_dump(mode="json")
    return diagnosis, report


@router.get("/{diagnosis_id}/report.html", response_class=HTMLResponse)
def as_file(request: Request, diagnosis_id: DiagnosisId) -> Response:
    """The report's page as one file, to send to somebody."""
    diagnosis, report = finished(context_of(request), diagnosis_id)
    headers = {"Content-Disposition": f'attachment; filename="phasegap-{diagnosis.id}.html"'}
    return HTMLResponse(rendering.report_file(diagnosis, report), headers=headers)


@router.get("/{diagnosis_id}/figures/{name}.{kind}")
def figure_data(
    request: Request,
    diagnosis_id: DiagnosisId,
    name: str,
    kind: str,
    layer: Annotated[int | None, Query(ge=1, le=99_999)] = None,
) -> Response:
    """The data of one plot."""
    _, report = finished(context_of(request), diagnosis_id)
    figure = figures_of(report, layer).get(name)
    if figure is None or kind not in MEDIA_TYPES:
        raise NotFound("This report has no such figure. Its page links to the data of each.")
    headers = {"Content-Disposition": f'attachment; filename="{figure.id}-{diagnosis_id}.{kind}"'}
    content = figure.csv() if kind == "csv" else figure.json()
    return Response(content.encode("utf-8", "replace"), media_type=MEDIA_TYPES[kind], headers=headers)
