"""`GET /usage`: what was used in a period, by the caller, or by everybody for who has the role admin."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from app.api.answers import model_response
from app.api.context import context_of
from app.api.openapi import problems
from app.api.rights import caller_of
from app.callers import Right
from app.errors import InvalidRequest
from app.tenancy.usage import OwnerUsage

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2999, 12, 31)
router = APIRouter(tags=["access"])


class Amounts(BaseModel):
    """What was used."""

    jobs: int
    bytes: int
    compute_seconds: float = Field(description="Time that runs held a slot of a worker, CPU or GPU.")


class Limits(BaseModel):
    """What may be used; null: no limit."""

    jobs: int | None
    bytes: int | None
    compute_seconds: float | None


class UsageOf(BaseModel):
    """One owner: a key, those that share its diagnoses, or a bearer of tokens."""

    owner: str
    name: str
    used: Amounts
    limits: Limits


class UsagePeriod(BaseModel):
    """The period, in UTC, and who used what in it."""

    start: date
    end: date = Field(description="The first day of the next one.")
    items: list[UsageOf]


@router.get("/usage", response_model=UsagePeriod, responses=problems("invalid_request"))
def get_usage(
    request: Request,
    day: Annotated[date | None, Query(description="A day of the period; by default today.")] = None,
) -> Response:
    """What the caller used and may use; with the role admin, everybody. Empty where no keys are asked for."""
    if day is not None and not FIRST_DAY <= day <= LAST_DAY:
        raise InvalidRequest(f"`day` lies between {FIRST_DAY} and {LAST_DAY}.")
    usages, caller = context_of(request).services.usages, caller_of(request.scope)
    at_s = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() if day else None
    period = usages.period(at_s)
    found = usages.everybody(period) if caller.may(Right.ADMIN) else usages.own(caller, period)
    return model_response(UsagePeriod(start=period.start, end=period.end, items=[_shown(each) for each in found]))


def _shown(usage: OwnerUsage) -> UsageOf:
    quota = usage.quota
    return UsageOf(
        owner=usage.owner,
        name=usage.name,
        used=Amounts(**vars(usage.used)),
        limits=Limits(jobs=quota.jobs, bytes=quota.bytes, compute_seconds=quota.compute_seconds),
    )
