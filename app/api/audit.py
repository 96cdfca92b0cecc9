"""`GET /audit`: the audit log, for who has the role admin."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from app.api.answers import model_response
from app.api.context import context_of
from app.api.openapi import problems
from app.tenancy.audit import AuditFilters
from app.tenancy.described import AuditEntry, entry_of

PAGE_LIMIT = 500
LATEST_S = 20_000_000_000
LARGEST_NUMBER = 2**31 - 1
router = APIRouter(tags=["access"])
Word = Annotated[str | None, Field(max_length=100)]


class AuditPage(BaseModel):
    """A page of the log, newest first."""

    items: list[AuditEntry]
    next_before: int | None = Field(description="Pass as `before` for the next page; null on the last.")


@router.get("/audit", response_model=AuditPage, responses=problems("invalid_request"))
def get_audit(
    request: Request,
    owner: Annotated[Word, Query(description="Only what this owner did.")] = None,
    action: Annotated[Word, Query(description="Only of this kind.")] = None,
    target: Annotated[Word, Query(description="Only what was done to this id.")] = None,
    since: Annotated[float | None, Query(ge=0, le=LATEST_S, description="Seconds since 1970.")] = None,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_NUMBER, description="Only smaller numbers.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="Length of a page.")] = 100,
) -> Response:
    """Who did what, on what, when, and what came of it."""
    filters = AuditFilters(owner, action, target, since)
    lines = context_of(request).services.audit.page(filters, limit + 1, before)
    more = lines[limit - 1].number if len(lines) > limit else None
    return model_response(AuditPage(items=[entry_of(line) for line in lines[:limit]], next_before=more))
