"""`/webhooks`: who is told of endings, what was told, and what did not arrive. Endpoints are configured, not posted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from app.api.answers import model_response
from app.api.context import context_of
from app.api.openapi import problems
from app.errors import NotFound
from app.jobs.database import at
from app.jobs.models import Delivery
from app.jobs.store import decode_cursor, encode_cursor

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

PAGE_LIMIT = 100
State = Literal["pending", "delivered", "dead"]
Name = Annotated[str, Path(description="The `name` of an endpoint in the settings.", max_length=40)]
DeliveryId = Annotated[str, Path(description="The `id` of a delivery.", max_length=64)]


class WebhookDelivery(BaseModel):
    """One ending that one endpoint is told of."""

    id: str
    diagnosis_id: str
    endpoint: str
    state: State = Field(description="`dead`: not tried any more; it can be sent again.")
    attempts: int
    created_at: datetime
    attempted_at: datetime | None
    next_attempt_at: datetime | None = Field(description="While `pending`: when it is tried next, at the earliest.")
    status_code: int | None = Field(description="What the endpoint answered to the last attempt, if it did.")
    reason: str | None = Field(description="Why the last attempt failed.")


class WebhookDeliveryPage(BaseModel):
    """A page of the list, newest first."""

    items: list[WebhookDelivery]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page; null on the last.")


class WebhookEndpointState(BaseModel):
    """An endpoint and how it fares. Of its URL only the origin is shown: the rest may be a secret."""

    name: str
    origin: str = Field(examples=["https://hooks.example"])
    disabled_at: datetime | None = Field(description="Since when it is told nothing, because it answered 410 Gone.")
    deliveries: dict[str, int] = Field(description="How many there are, by state.")


@router.get("/endpoints", response_model=list[WebhookEndpointState], responses=problems())
def list_endpoints(request: Request) -> list[WebhookEndpointState]:
    """The endpoints of this web process' settings."""
    context = context_of(request)
    endpoints = context.settings.webhook_endpoints
    states = context.services.outbox.listeners([endpoint.name for endpoint in endpoints])
    return [
        WebhookEndpointState(
            name=endpoint.name,
            origin=endpoint.origin,
            disabled_at=at(states[endpoint.name][0]),
            deliveries=states[endpoint.name][1],
        )
        for endpoint in endpoints
    ]


@router.post("/endpoints/{name}/enable", status_code=204, responses=problems("invalid_request", "not_found"))
def enable_endpoint(request: Request, name: Name) -> Response:
    """Tell an endpoint again that was gone; what it missed stays listed as dead and can be sent again."""
    context = context_of(request)
    if name not in {endpoint.name for endpoint in context.settings.webhook_endpoints}:
        raise NotFound("There is no endpoint of this name in the settings.")
    context.services.outbox.enable(name)
    return Response(status_code=204)


@router.get("/deliveries", response_model=WebhookDeliveryPage, responses=problems("invalid_request"))
def list_deliveries(
    request: Request,
    state: Annotated[State | None, Query(description="Only those in this state; `dead`: the dead letters.")] = None,
    diagnosis_id: Annotated[str | None, Query(description="Only those of this diagnosis.", max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="Length of a page.")] = 20,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.", max_length=200)] = None,
) -> Response:
    """What endpoints were told and are to be told, newest first."""
    after = decode_cursor(cursor) if cursor is not None else None
    rows = context_of(request).services.outbox.page(state, diagnosis_id, after, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    next_cursor = encode_cursor(last.created_at, last.id) if last is not None else None
    return model_response(WebhookDeliveryPage(items=[_shown(row) for row in rows[:limit]], next_cursor=next_cursor))


@router.post(
    "/deliveries/{delivery_id}/retry",
    status_code=202,
    response_model=WebhookDelivery,
    responses=problems("invalid_request", "not_found", "conflict"),
)
def retry_delivery(request: Request, delivery_id: DeliveryId) -> Response:
    """Send a delivery once more, a dead letter or one that has arrived; the endpoint gets it under the same id."""
    return model_response(_shown(context_of(request).services.outbox.again(delivery_id)), 202)


def _shown(delivery: Delivery) -> WebhookDelivery:
    return WebhookDelivery.model_validate(
        {
            "id": delivery.id,
            "diagnosis_id": delivery.diagnosis_id,
            "endpoint": delivery.listener,
            "state": delivery.state,
            "attempts": delivery.attempts,
            "created_at": at(delivery.created_at),
            "attempted_at": at(delivery.attempted_at),
            "next_attempt_at": at(delivery.next_at) if delivery.state == "pending" else None,
            "status_code": delivery.status_code,
            "reason": delivery.reason,
        }
    )
