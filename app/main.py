"""Composes the web application. The only module that knows all others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware

import app.pages
from app import __version__
from app.api import audit, diagnoses, events, health, keys, metrics, submit, usage, webhooks, workers
from app.api.answers import StrictJSONResponse
from app.api.context import Context
from app.api.errors import add_error_handlers
from app.api.gate import Gate
from app.api.metrics import HttpMetrics, HttpMetricsMiddleware
from app.api.openapi import use_problem_media_type
from app.api.readiness import Readiness
from app.api.rights import check_right
from app.api.traced import TraceMiddleware
from app.api.watch import EndWatch
from app.pages import causes, comparison, dashboard, docs, reports
from app.pages.drawing import artist
from app.pages.rendering import problem_page, waiting_page
from app.services import Services, Upkeep, prepare
from app.settings import Settings
from app.webhooks.courier import Courier

DESCRIPTION = (
    "Why does my model predict differently than it trains? Send a saved Keras model and a small sample batch to "
    "`POST /diagnose`; get a report of what differs between the phases, which layers cause it, and what to do."
)
ROUTES = (
    submit, events, diagnoses, webhooks, workers, usage, keys, audit, health, metrics,
    causes, docs, dashboard, reports, comparison,
)  # fmt: skip
STATIC = Path(app.pages.__file__).parent / "static"


def create_app(settings: Settings) -> FastAPI:
    """The web application on these settings. The schema is brought up to date when it starts."""
    http_metrics = HttpMetrics()
    api = _Api(
        title="PhaseGap",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would be built from the Host header
        lifespan=_lifespan,
        default_response_class=StrictJSONResponse,
        dependencies=[Depends(check_right)],
        middleware=[
            Middleware(TraceMiddleware),
            Middleware(HttpMetricsMiddleware, metrics=http_metrics),
            Middleware(Gate, settings=settings),
        ],
    )
    api.state.settings = settings
    api.state.http_metrics = http_metrics
    api.state.problem_page = problem_page
    add_error_handlers(api)
    for module in ROUTES:
        api.include_router(module.router)
    api.mount("/static", StaticFiles(directory=STATIC), name="static")
    return api


class _Api(FastAPI):
    """FastAPI with problems described under their own media type."""

    def openapi(self) -> dict[str, Any]:
        return use_problem_media_type(super().openapi())


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    settings: Settings = api.state.settings
    await asyncio.to_thread(prepare, settings)
    services = await asyncio.to_thread(Services, settings)
    watch = EndWatch(services.store, settings.poll_seconds, settings.bells_dir)
    readiness = Readiness(services)
    api.state.context = Context(settings, services, watch, readiness, reports.page, waiting_page)
    api.state.services = services
    upkeep = Upkeep(services)
    upkeep.start()
    courier = asyncio.create_task(Courier(settings, services.outbox).run())
    await asyncio.to_thread(readiness.start)
    try:
        yield
    finally:
        watch.stop()
        watch.close()
        courier.cancel()
        await asyncio.gather(courier, return_exceptions=True)
        readiness.stop()
        upkeep.stop()
        await asyncio.to_thread(artist.close)
        services.close()
