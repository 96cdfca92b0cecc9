"""Is it alive, and can it work?"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from app.api.answers import model_response
from app.api.context import context_of
from app.api.openapi import problems
from app.api.readiness import Check
from app.errors import NotReady

router = APIRouter(prefix="/health", tags=["operation"])


class Live(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """All things that are needed."""

    status: str
    checks: dict[str, Check]


@router.get("/live", response_model=Live)
async def live() -> Response:
    """Whether the process answers; restart it if not."""
    return model_response(Live(status="live"))


@router.get("/ready", response_model=Ready, responses={503: problems("internal")[500]})
async def ready(request: Request) -> Response:
    """Whether jobs will be run: the database, the queue and, where there is one, the store of files answer, and at
    least one worker lives. As of a second ago at most.
    """
    checks = context_of(request).readiness.checks()
    if all(check.ok for check in checks.values()):
        return model_response(Ready(status="ready", checks=checks))
    failing = ", ".join(name for name, check in checks.items() if not check.ok)
    details: dict[str, Any] = {name: check.model_dump() for name, check in checks.items()}
    raise NotReady(f"Not ready: {failing}.", checks=details)
