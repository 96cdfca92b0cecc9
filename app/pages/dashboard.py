"""`/`: the upload form and the newest diagnoses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from app.jobs.models import Diagnosis
from app.jobs.store import Filters
from app.pages.rendering import render
from app.services import Services

PAGE_LENGTH = 25

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class DashboardContext:
    """What the dashboard shows."""

    diagnoses: list[Diagnosis]
    next_cursor: str | None
    waiting: int
    running: int
    workers: int
    filters: Filters


@router.get("/", response_class=HTMLResponse)
def dashboard(
    request: Request,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    status: Annotated[str | None, Query(max_length=20)] = None,
    verdict: Annotated[str | None, Query(max_length=64)] = None,
    model_name: Annotated[str | None, Query(max_length=200)] = None,
) -> HTMLResponse:
    """The dashboard."""
    services = cast(Services, request.app.state.services)
    filters = Filters(status=status or None, verdict=verdict or None, model_name=model_name or None)
    rows, next_cursor = services.store.page(filters, PAGE_LENGTH, cursor or None)
    counts, _ = services.store.queue_figures()
    context = DashboardContext(
        diagnoses=rows,
        next_cursor=next_cursor,
        waiting=counts.get("queued", 0),
        running=counts.get("running", 0),
        workers=len(services.workers.live()),
        filters=filters,
    )
    return HTMLResponse(render("dashboard.html", context))
