"""The spans of one run: how long it waited, and its stages as its guest reported them.

The guest has no network and makes no spans. What it says of its progress is only believed where it names a stage that
there is, once each: so a run has a handful of spans, whatever ran in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.util.types import AnyValue
from structlog.contextvars import bound_contextvars

from app.jobs.states import Claim
from app.sandbox.protocol import Outcome
from app.traces import context_of, record, span

STAGES = ("inspect", "load", "measure", "explain", "verify", "done")
"""Of the analysis, in order; what lies before the first is the start of the guest, after `done` there is none."""

NANOSECONDS = 1_000_000_000


class RunTrace:
    """Collects when stages began, and makes spans of them when the run has ended."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._began: list[tuple[str, int]] = [("start", time.time_ns())]

    def note(self, stage: str) -> None:
        """A stage has been reported. Only the first report of a known one counts."""
        if stage in STAGES and stage not in (known for known, _ in self._began):
            self._began.append((stage, time.time_ns()))

    def end(self, outcome: Outcome) -> None:
        """The guest is gone."""
        ends = [at for _, at in self._began[1:]] + [time.time_ns()]
        for (stage, began), ended in zip(self._began, ends, strict=True):
            if stage != "done":
                record(f"stage {stage}", began, ended)
        self._span.set_attribute("phasegap.outcome", outcome.kind)
        if outcome.peak_memory_bytes is not None:
            self._span.set_attribute("phasegap.guest.peak_memory_bytes", outcome.peak_memory_bytes)
        if outcome.limit is not None:
            self._span.set_attribute("phasegap.limit", outcome.limit)
        if outcome.code is not None:
            self._span.set_attribute("phasegap.code", outcome.code)
            self._span.set_status(StatusCode.ERROR, outcome.code)

    def found(self, verdict: str, seconds: Mapping[str, float]) -> None:
        """What the report says, and how long its stages took by the guest's own clock."""
        self._span.set_attribute("phasegap.verdict", verdict)
        for stage, took_s in seconds.items():
            self._span.set_attribute(f"phasegap.seconds.{stage}", took_s)


@contextmanager
def traced_run(claim: Claim) -> Iterator[RunTrace]:
    """A span for the run, part of the trace of the request that submitted it; logs inside name both."""
    parent = context_of(claim.traceparent)
    about: dict[str, AnyValue] = {"phasegap.diagnosis_id": claim.id, "phasegap.attempt": claim.attempt}
    if claim.attempt == 1:
        now = time.time_ns()  # by this machine's clock, as all spans of the run; the database's may differ
        waited = round(claim.queue_seconds * NANOSECONDS)
        record("queue", now - waited, now, parent, about)
    with (
        span("run", parent, SpanKind.CONSUMER, about) as current,
        bound_contextvars(diagnosis_id=claim.id, attempt=claim.attempt),
    ):
        yield RunTrace(current)
