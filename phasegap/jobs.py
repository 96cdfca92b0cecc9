"""A diagnosis on its way, as the service tells it. Fields that a newer service adds are kept, not refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


class Loose(BaseModel):
    """Base: what is not known is kept."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class JobProgress(Loose):
    """How far a diagnosis has come."""

    stage: str = ""
    fraction: float = 0.0
    note: str | None = None


class JobSummary(Loose):
    """One line of the list of diagnoses."""

    id: str
    status: Status
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    progress: JobProgress = JobProgress()
    model_name: str = ""
    verdict: str | None = None
    primary_cause: str | None = None
    severity: str | None = None
    headline: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ENDED


class Job(JobSummary):
    """One diagnosis. `report` is there once it succeeded, `error` is a problem document once it failed."""

    report: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
