"""The states of a job and what ends it.

    queued ──claim──> running ──settle──> succeeded | failed
      ^                  │
      └── let go, lost ──┘        queued | running ──delete──> cancelled

A run is named by (diagnosis, attempt). Going back to `queued` always raises the attempt, so whatever a run of an
earlier attempt still has to say finds no row that it may change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from app.callers import Quota
from app.jobs.needs import Place

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]

STATUSES: tuple[Status, ...] = ("queued", "running", "succeeded", "failed", "cancelled")
OPEN: tuple[Status, ...] = ("queued", "running")
ENDED: tuple[Status, ...] = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class Submission:
    """What was uploaded and asked for, ready to become a job.

    `traceparent`: the request, as W3C writes it. `owner`: who submitted it, "" where nobody is asked for a key, and
    `quota` what the owner may use. `device` and `priority` are what was asked for, `queue` and `memory_bytes` what
    follows (`needs.py`).
    """

    id: str
    model_stem: str
    model_file: str
    batch_file: str
    model_sha256: str
    batch_sha256: str
    model_bytes: int
    batch_bytes: int
    options: dict[str, Any]
    content_hash: str
    traceparent: str | None = None
    owner: str = ""
    device: str = "auto"
    memory_bytes: int = 0
    queue: str = Place().queue
    priority: int | None = None
    note: str | None = None
    quota: Quota = field(default_factory=Quota)


@dataclass(frozen=True)
class Claim:
    """One run of one job, held by one worker. `started_at` is when its first run began."""

    id: str
    attempt: int
    worker_id: str
    created_at: float
    started_at: float
    claimed_at: float
    model_file: str
    batch_file: str
    model_sha256: str
    batch_sha256: str
    model_bytes: int
    batch_bytes: int
    options: dict[str, Any]
    traceparent: str | None = None
    device: str = "auto"
    owner: str = ""

    @property
    def since_first_run_seconds(self) -> float:
        return max(0.0, self.claimed_at - self.started_at)

    @property
    def queue_seconds(self) -> float:
        return max(0.0, self.claimed_at - self.created_at)


@dataclass(frozen=True)
class Ending:
    """How a job ended, as it is recorded."""

    status: Literal["succeeded", "failed"]
    error_code: str | None = None
    error_detail: str | None = None
    model_name: str | None = None
    verdict: str | None = None
    primary_cause: str | None = None
    severity: str | None = None
    headline: str | None = None
    has_repaired_model: bool = False
    stage_seconds: dict[str, float] = field(default_factory=dict)
    edition: str | None = None
    limit: str | None = None
    peak_memory_bytes: int | None = None
