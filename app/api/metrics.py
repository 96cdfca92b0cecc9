"""`/metrics` for Prometheus: this process' requests, and the jobs of the whole installation out of the database."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.context import context_of
from app.jobs import tallies
from app.services import Services

disable_created_metrics()  # type: ignore[no-untyped-call]  # half of the lines, and nobody reads them
router = APIRouter(tags=["operation"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    registry: HttpMetrics = request.app.state.http_metrics
    own = CollectorRegistry()
    own.register(JobCollector(context_of(request).services))
    return Response(registry.render() + generate_latest(own), media_type=CONTENT_TYPE_LATEST)


class HttpMetrics:
    """Requests of this process by route, never by raw path: paths are made up by clients."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("phasegap_http_requests", "Answered requests.", labels, registry=self._registry)
        self.seconds = Histogram(
            "phasegap_http_request_duration_seconds",
            "Time from request to the end of the answer, waiting for a report included.",
            ("method", "route"),
            registry=self._registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600),
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
            await self._app(scope, receive, note_status)
        finally:
            method = scope["method"] if scope["method"] in KNOWN_METHODS else "other"
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(method, route).observe(time.perf_counter() - started_s)


KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class JobCollector(Collector):
    """Figures of all jobs, read when they are asked for."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        counts, oldest_s = self._services.store.queue_figures()
        yield GaugeMetricFamily("phasegap_queue_depth_jobs", "Jobs that wait.", counts.get("queued", 0))
        yield GaugeMetricFamily("phasegap_running_jobs", "Jobs that run.", counts.get("running", 0))
        yield GaugeMetricFamily("phasegap_queue_oldest_age_seconds", "Age of the oldest waiting job.", oldest_s)
        workers = self._services.workers.live()
        yield GaugeMetricFamily("phasegap_workers", "Workers that live.", len(workers))
        yield GaugeMetricFamily("phasegap_worker_slots", "Jobs they can run at a time.", sum(w.slots for w in workers))
        found = tallies.read(self._services.database)
        yield _jobs(found.get(tallies.JOBS, {}))
        yield _stages(found)


def _jobs(counts: dict[str, float]) -> Metric:
    names = ["outcome", "verdict", "cause", "code"]
    family = CounterMetricFamily("phasegap_jobs", "Jobs that ended, by how.", labels=names)
    for joined, count in counts.items():
        labels = joined.split("|") if joined.count("|") == len(names) - 1 else ["other"] * len(names)
        family.add_metric(labels, count)
    return family


def _stages(found: dict[str, dict[str, float]]) -> Metric:
    family = HistogramMetricFamily(
        "phasegap_stage_duration_seconds", "Time that succeeded jobs spent in each stage.", labels=["stage"]
    )
    buckets = found.get(tallies.STAGE_BUCKET, {})
    for stage, total_s in found.get(tallies.STAGE_SUM, {}).items():
        running, points = 0.0, []
        for bound in (*tallies.BUCKETS_SECONDS, "inf"):
            running += buckets.get(f"{stage}|{bound}", 0.0)
            points.append(("+Inf" if bound == "inf" else str(bound), running))
        family.add_metric([stage], points, sum_value=total_s)
    return family
