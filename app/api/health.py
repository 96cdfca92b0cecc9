"""Is it alive, and can it work?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from app.api.answers import model_response
from app.api.context import Context, context_of
from app.api.openapi import problems
from app.errors import NotReady

router = APIRouter(prefix="/health", tags=["operation"])
log = structlog.get_logger(__name__)


class Live(BaseModel):
    """The process answers."""

    status: str


class Check(BaseModel):
    """One thing that is needed."""

    ok: bool
    detail: str


class Ready(BaseModel):
    """All things that are needed."""

    status: str
    checks: dict[str, Check]


@router.get("/live", response_model=Live)
async def live() -> Response:
    """Whether the process answers; restart it if not."""
    return model_response(Live(status="live"))


@router.get("/ready", response_model=Ready, responses={503: problems("internal")[500]})
def ready(request: Request) -> Response:
    """Whether jobs will be run: the database and the queue answer, and at least one worker lives."""
    context = context_of(request)
    checks = {name: _try(name, check, context) for name, check in CHECKS.items()}
    if all(check.ok for check in checks.values()):
        return model_response(Ready(status="ready", checks=checks))
    failing = ", ".join(name for name, check in checks.items() if not check.ok)
    details: dict[str, Any] = {name: check.model_dump() for name, check in checks.items()}
    raise NotReady(f"Not ready: {failing}.", checks=details)


def _try(name: str, check: Callable[[Context], Check], context: Context) -> Check:
    try:
        return check(context)
    except Exception:
        log.exception("readiness_check_failed", check=name)
        return Check(ok=False, detail="does not answer")


def _database(context: Context) -> Check:
    context.services.database.check()
    return Check(ok=True, detail="answers")


def _queue(context: Context) -> Check:
    context.services.engine.states([("readiness", 1)])
    depth, limit = context.services.store.queue_depth(), context.settings.queue_limit_jobs
    return Check(ok=True, detail=f"{depth} of {limit} places taken")


def _workers(context: Context) -> Check:
    workers = context.services.workers.live()
    slots = sum(worker.slots for worker in workers)
    isolation = sorted({worker.isolation for worker in workers if worker.isolation})
    suffix = f", isolation: {', '.join(isolation)}" if isolation else ""
    return Check(ok=bool(workers), detail=f"{len(workers)} live, {slots} slots{suffix}")


CHECKS = {"database": _database, "queue": _queue, "workers": _workers}
