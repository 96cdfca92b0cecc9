"""`GET /workers`: who runs jobs, on what, and how their devices are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from app.api.answers import model_response
from app.api.context import context_of
from app.jobs.database import at
from app.jobs.models import Worker

router = APIRouter(prefix="/workers", tags=["operation"])


class WorkerDevice(BaseModel):
    """What guests run on."""

    name: str = Field(examples=["cpu", "gpu:0"])
    kind: str = Field(json_schema_extra={"enum": ["cpu", "gpu"]})
    slots: int = Field(description="Jobs that run on it at a time.")
    state: str = Field(
        json_schema_extra={"enum": ["ready", "checking", "withdrawn"]},
        description="checking: a guest went wrong on it, and it is tried. withdrawn: it does not work, no job gets it.",
    )
    reason: str | None = None
    gpu_class: str | None = Field(default=None, examples=["NVIDIA L4"])
    memory_bytes: int | None = Field(default=None, description="Memory of the GPU.")
    memory_per_guest_bytes: int | None = Field(default=None, description="What one job may have of it.")


class WorkerSummary(BaseModel):
    """One living worker. What one of an earlier version can do is not known."""

    model_config = {"protected_namespaces": ()}

    id: str
    host: str
    slots: int = Field(description="Jobs that it can run at a time.")
    started_at: datetime | None
    silence_s: float = Field(description="Seconds since it last said that it lives.")
    isolation: str | None
    devices: list[WorkerDevice] | None
    memory_per_guest_bytes: int | None
    keras2: bool | None = Field(description="Whether it has the code of Keras 2.")
    model_formats: list[str] | None
    batch_formats: list[str] | None


class Unserved(BaseModel):
    """Jobs that wait for a worker that is not here."""

    missing: str = Field(examples=["a GPU"])
    jobs: int


class Workers(BaseModel):
    """Everybody, and what is missing."""

    items: list[WorkerSummary]
    unserved: list[Unserved] = Field(description="Waiting jobs that none of them can run.")


@router.get("", response_model=Workers)
def list_workers(request: Request) -> Response:
    """The workers that live, what they can do, and the jobs that wait for one that can do more."""
    services = context_of(request).services
    found = services.workers.live_with_silence()
    items = [_summary(worker, silence_s) for worker, silence_s in found]
    waiting = services.places.unserved(worker for worker, _ in found)
    unserved = [Unserved(missing=missing, jobs=jobs) for missing, jobs in sorted(waiting.items())]
    return model_response(Workers(items=sorted(items, key=lambda item: item.id), unserved=unserved))


def _summary(worker: Worker, silence_s: float) -> WorkerSummary:
    can = worker.capabilities or {}
    return WorkerSummary(
        id=worker.id,
        host=worker.host,
        slots=worker.slots,
        started_at=at(worker.started_at),
        silence_s=round(max(0.0, silence_s), 3),
        isolation=worker.isolation,
        devices=[_device(found) for found in can["devices"]] if can else None,
        memory_per_guest_bytes=can.get("memory_per_guest_bytes"),
        keras2=can.get("keras2"),
        model_formats=can.get("model_formats"),
        batch_formats=can.get("batch_formats"),
    )


def _device(found: dict[str, Any]) -> WorkerDevice:
    return WorkerDevice(
        gpu_class=found.get("class"), **{name: value for name, value in found.items() if name != "class"}
    )
