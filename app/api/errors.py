"""Every error as a problem: ours, the framework's, and what nobody expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.api.answers import error_response
from app.errors import (
    InsufficientStorage,
    Internal,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Problem,
    Unauthorized,
)
from app.jobs.database import is_full_disk

INTERNAL = "Something went wrong in the service. Its operator finds the reason in the log."

log = structlog.get_logger(__name__)


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error with application/problem+json."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(Exception, on_anything_else)
    app.add_exception_handler(OSError, on_anything_else)
    app.add_exception_handler(OperationalError, on_anything_else)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error_response(request, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(request, _of_status(request, error.status_code, error.headers or {}))


def _of_status(request: Request, status: int, headers: Mapping[str, str]) -> Problem:
    if status == 404:
        return NotFound("Nothing is at this address. The API is described at /docs.")
    if status == 405:
        allow = ", ".join(sorted(_methods_at(request))) or headers.get("allow", "")
        return MethodNotAllowed(f"{request.method} is not possible at this address.", headers={"Allow": allow})
    if status in (401, 403):
        return Unauthorized("An API key is needed.", headers=dict(headers))
    return InvalidRequest("The request could not be read.") if status < 500 else Internal(INTERNAL)


def _methods_at(request: Request) -> set[str]:
    """All methods of this address. One route knows its own only."""
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= set(getattr(route, "methods", None) or ())
    return found | ({"HEAD"} if "GET" in found else set())


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return error_response(request, InvalidRequest("; ".join(_sentence(item) for item in error.errors()[:5]) + "."))


def _sentence(item: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in item["loc"][1:]) or "the request"
    return f"`{where[:80]}`: {str(item['msg'])[:200]}"


async def on_anything_else(request: Request, error: Exception) -> Response:
    """The answer to what nobody expected; the log has the reason, the answer does not."""
    if is_full_disk(error):
        log.error("disk_full", reason=type(error).__name__)
        return error_response(request, InsufficientStorage("The server has run out of disk space. Try again later."))
    log.error("unexpected_error", exc_info=error)
    return error_response(request, Internal(INTERNAL))
