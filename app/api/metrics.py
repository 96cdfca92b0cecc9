"""`/metrics` for Prometheus: this process' requests, and the jobs of the whole installation out of the database."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.context import context_of
from app.api.job_metrics import JobCollector

disable_created_metrics()  # type: ignore[no-untyped-call]  # half of the lines, and nobody reads them
router = APIRouter(tags=["operation"])

BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
BUCKETS_BYTES = tuple(float(4**n) for n in range(5, 17))
"""From 1 KiB to 4 GiB, four times as much each."""
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    registry: HttpMetrics = request.app.state.http_metrics
    context = context_of(request)
    registry.uploading.set(context.uploads_under_way)
    own = CollectorRegistry()
    own.register(JobCollector(context.services))
    return Response(registry.render() + generate_latest(own), media_type=CONTENT_TYPE_LATEST)


class HttpMetrics:
    """What this process was asked, by route and code, never by raw path or name: those are made up by clients."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        ProcessCollector(registry=own)
        labels = ("method", "route", "status")
        self.requests = Counter("phasegap_http_requests", "Answered requests.", labels, registry=own)
        self.seconds = Histogram(
            "phasegap_http_request_duration_seconds",
            "Time from request to the end of the answer, waiting for a report included.",
            ("method", "route"),
            registry=own,
            buckets=BUCKETS_SECONDS,
        )
        self.open = Gauge("phasegap_http_requests_in_progress", "Requests being answered.", registry=own)
        self.problems = Counter("phasegap_http_problems", "Error answers, by problem code.", ("code",), registry=own)
        self.uploading = Gauge("phasegap_uploads_in_progress", "Submissions being received.", registry=own)
        self.upload_bytes = Histogram(
            "phasegap_upload_bytes", "Size of files received whole.", ("file",), registry=own, buckets=BUCKETS_BYTES
        )

    def render(self) -> bytes:
        return generate_latest(self._registry)


class HttpMetricsMiddleware:
    """Counts and times every request."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s, status = time.perf_counter(), 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self._metrics.open.track_inprogress():
                await self._app(scope, receive, note_status)
        finally:
            method = scope["method"] if scope["method"] in KNOWN_METHODS else "other"
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(method, route).observe(time.perf_counter() - started_s)
