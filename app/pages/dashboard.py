"""`/`: the upload form, the diagnoses narrowed down by what stands in the address, and how models' verdicts follow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BeforeValidator

from app.api.answers import report_bytes
from app.api.context import Context, context_of
from app.api.vocabulary import CAUSES, VERDICTS
from app.errors import NotFound
from app.jobs.models import Diagnosis
from app.jobs.needs import BATCH_SUFFIXES, MODEL_SUFFIXES
from app.jobs.store import Filters
from app.jobs.trends import LOOKED_BACK, ModelTrend
from app.pages.figures import Figure
from app.pages.rendering import STAGES, data_link, render
from app.pages.trend_figure import trend_figure

PAGE_LENGTH = 25
STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")
Word = Annotated[str | None, Query(max_length=200)]
Day = Annotated[date | None, BeforeValidator(lambda value: value or None), Query()]

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class DashboardContext:
    """What the dashboard shows. `given` is what the list is narrowed down by, as the address has it."""

    diagnoses: list[Diagnosis]
    older: str | None
    waiting: int
    running: int
    workers: int
    given: Mapping[str, str]
    trends: list[ModelTrend]
    trend: Figure | None
    trend_data: Mapping[str, str]
    looked_back: int = LOOKED_BACK
    stages: tuple[str, ...] = ("upload", *STAGES)
    statuses: tuple[str, ...] = STATUSES
    verdicts: tuple[str, ...] = VERDICTS
    causes: tuple[str, ...] = CAUSES
    model_suffixes: str = ",".join(MODEL_SUFFIXES)
    batch_suffixes: str = ",".join(BATCH_SUFFIXES)


@router.get("/", response_class=HTMLResponse)
def dashboard(
    request: Request,
    cursor: Word = None,
    status: Word = None,
    verdict: Word = None,
    cause: Word = None,
    model_name: Word = None,
    since: Day = None,
    q: Word = None,
) -> HTMLResponse:
    """The dashboard."""
    context = context_of(request)
    named = {"q": q, "status": status, "verdict": verdict, "cause": cause, "model_name": model_name}
    given = {name: value.strip() for name, value in named.items() if value and value.strip()}
    if since is not None:
        given["since"] = since.isoformat()
    return HTMLResponse(render("dashboard.html", _dashboard(context, given, since, cursor or None)))


def _dashboard(context: Context, given: dict[str, str], since: date | None, cursor: str | None) -> DashboardContext:
    services = context.services
    since_s = datetime.combine(since, time(), UTC).timestamp() if since else None
    words = {name: value for name, value in given.items() if name not in ("q", "since")}
    rows, next_cursor = services.store.page(
        Filters(search=given.get("q"), since_s=since_s, **words), PAGE_LENGTH, cursor
    )
    counts, _ = services.store.queue_figures()
    name = given.get("model_name")
    trend = _trend(context, name) if name else None
    return DashboardContext(
        diagnoses=rows,
        older="?" + urlencode({**given, "cursor": next_cursor}, errors="replace") if next_cursor else None,
        waiting=counts.get("queued", 0),
        running=counts.get("running", 0),
        workers=len(services.workers.live()),
        given=given,
        trends=services.trends.newest_models(),
        trend=trend,
        trend_data=_data(trend) if trend else {},
    )


def _data(figure: Figure) -> dict[str, str]:
    """The figure's data as links that hold them: they are of this moment, and no address of ours keeps them."""
    return {"CSV": data_link("text/csv", figure.csv()), "JSON": data_link("application/json", figure.json())}


def _trend(context: Context, name: str) -> Figure | None:
    """How the gap of this model went, read from its reports."""
    found: list[tuple[Diagnosis, dict[str, Any]]] = []
    for diagnosis in context.services.trends.of_model(name):
        try:
            found.append((diagnosis, json.loads(report_bytes(context, diagnosis))))
        except NotFound:
            continue  # removed since the list was read
    return trend_figure(found)
