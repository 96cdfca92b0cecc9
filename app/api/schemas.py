"""What the API answers, as pydantic models: the source of its OpenAPI description."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.errors import CATALOG, problem_document
from app.jobs.database import at
from app.jobs.models import Diagnosis
from app.jobs.needs import DEVICES
from app.jobs.states import Status


class ProblemDocument(BaseModel):
    """An error after RFC 9457. `code` tells programs what `detail` tells people."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/problems/batch_mismatch"])
    title: str
    status: int
    detail: str = Field(
        examples=["input `image` wants (None, 224, 224, 3), the batch has (8, 3, 224, 224): it looks channels-first"]
    )
    code: str = Field(json_schema_extra={"enum": list(CATALOG)})


class Progress(BaseModel):
    """How far a job has come."""

    stage: str = Field(examples=["measure"])
    fraction: float = Field(ge=0, le=1)
    note: str | None = Field(default=None, description="What was found in the model file before it was loaded.")


class Job(BaseModel):
    """A diagnosis from submission to report."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    status: Status
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: Progress
    report: dict[str, Any] | None = Field(description="The report once succeeded, else null.")
    error: ProblemDocument | None = Field(description="The problem once failed, else null.")
    model_name: str = Field(description="The model's own name; that of its file until the report is there.")
    model_file_name: str = Field(description="The name of the uploaded file.")
    attempt: int = Field(
        description="Number of the run; larger than 1 where an earlier one was interrupted, or put back because its "
        "owner had as many jobs running as may."
    )
    device: str = Field(description="What was asked for.", json_schema_extra={"enum": list(DEVICES)})
    priority: int = Field(description="Goes before jobs with a lower one.")


class JobSummary(BaseModel):
    """One line of the list of diagnoses."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    status: Status
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: Progress
    model_name: str = Field(description="The model's own name; that of its file until the report is there.")
    model_file_name: str = Field(description="The name of the uploaded file.")
    verdict: str | None
    primary_cause: str | None
    severity: str | None
    headline: str | None
    error_code: str | None


class JobPage(BaseModel):
    """A page of the list, newest first."""

    items: list[JobSummary]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page; null on the last.")


def job_of(diagnosis: Diagnosis, report: dict[str, Any] | None = None) -> Job:
    placing: dict[str, Any] = {name: getattr(diagnosis, name) for name in ("attempt", "device", "priority")}
    return Job(**_common(diagnosis), report=report, error=error_of(diagnosis), **placing)


def summary_of(diagnosis: Diagnosis) -> JobSummary:
    return JobSummary(
        **_common(diagnosis),
        verdict=diagnosis.verdict,
        primary_cause=diagnosis.primary_cause,
        severity=diagnosis.severity,
        headline=diagnosis.headline,
        error_code=diagnosis.error_code,
    )


def error_of(diagnosis: Diagnosis) -> ProblemDocument | None:
    if diagnosis.error_code is None:
        return None
    return ProblemDocument(**problem_document(diagnosis.error_code, diagnosis.error_detail or ""))


def _common(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "id": diagnosis.id,
        "status": diagnosis.status,
        "created_at": at(diagnosis.created_at),
        "started_at": at(diagnosis.started_at),
        "finished_at": at(diagnosis.finished_at),
        "progress": Progress(stage=diagnosis.stage, fraction=diagnosis.fraction, note=diagnosis.note),
        "model_name": diagnosis.model_name,
        "model_file_name": diagnosis.file_name,
    }
