"""`/compare`: two diagnoses of the same model side by side, such as before and after a fix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from app.api.context import Context, context_of
from app.errors import NotFound
from app.jobs.models import Diagnosis
from app.pages.compared import Difference, difference_of
from app.pages.figures import Figure
from app.pages.rendering import render
from app.pages.reports import MEDIA_TYPES, finished

OFFERED = 60

router = APIRouter(include_in_schema=False)
Id = Annotated[str, Query(max_length=64, description="The `id` of a diagnosis.")]


@dataclass(frozen=True)
class ComparisonContext:
    """What the comparison shows."""

    before: Diagnosis
    after: Diagnosis
    reports: tuple[dict[str, Any], dict[str, Any]]
    difference: Difference
    figure: Figure | None
    choices: Sequence[Diagnosis]


@router.get("/compare", response_class=HTMLResponse)
def compare(request: Request, before: Id, after: Id) -> HTMLResponse:
    """Two diagnoses side by side."""
    return HTMLResponse(render("compare.html", _comparison(context_of(request), before, after)))


@router.get("/compare/layers.{kind}")
def compare_data(request: Request, kind: str, before: Id, after: Id) -> Response:
    """The data of the plot."""
    figure = _comparison(context_of(request), before, after).figure
    if figure is None or kind not in MEDIA_TYPES:
        raise NotFound("These two diagnoses have no such figure.")
    content = figure.csv() if kind == "csv" else figure.json()
    headers = {"Content-Disposition": f'attachment; filename="layers-before-after.{kind}"'}
    return Response(content.encode("utf-8", "replace"), media_type=MEDIA_TYPES[kind], headers=headers)


def _comparison(context: Context, before_id: str, after_id: str) -> ComparisonContext:
    (before, first), (after, second) = (finished(context, each) for each in (before_id, after_id))
    difference = difference_of(first, second)
    choices = context.services.trends.of_model(after.model_name, OFFERED)[::-1]
    known = {row.id for row in choices}
    choices += [row for row in (before, after) if row.id not in known]
    return ComparisonContext(before, after, (first, second), difference, difference.figure(), choices)
