"""What each route asks of its caller, in one table. A route that is not in it asks for the most: nothing is opened by
being forgotten.

What is another's is kept apart elsewhere, below the queries (`app.jobs.separation`); this is about what a role may do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from fastapi import Request
from starlette.types import Scope

from app.callers import ANYBODY, Caller, Right
from app.errors import Forbidden

READING = ("GET", "HEAD")
RIGHTS: dict[tuple[str, str], Right] = {
    ("POST", "/diagnose"): Right.SUBMIT,
    ("GET", "/diagnoses"): Right.READ,
    ("GET", "/diagnoses/{diagnosis_id}"): Right.READ,
    ("GET", "/diagnoses/{diagnosis_id}/events"): Right.READ,
    ("GET", "/diagnoses/{diagnosis_id}/report"): Right.READ,
    ("GET", "/diagnoses/{diagnosis_id}/report.html"): Right.READ,
    ("GET", "/diagnoses/{diagnosis_id}/figures/{name}.{kind}"): Right.READ,
    ("GET", "/diagnoses/{diagnosis_id}/model"): Right.READ,
    ("DELETE", "/diagnoses/{diagnosis_id}"): Right.SUBMIT,
    ("GET", "/compare"): Right.READ,
    ("GET", "/compare/layers.{kind}"): Right.READ,
    ("GET", "/"): Right.READ,
    ("GET", "/webhooks/deliveries"): Right.READ,
    ("POST", "/webhooks/deliveries/{delivery_id}/retry"): Right.SUBMIT,
    ("GET", "/webhooks/endpoints"): Right.READ_ALL,
    ("POST", "/webhooks/endpoints/{name}/enable"): Right.OPERATE,
    ("GET", "/metrics"): Right.READ_ALL,
    ("GET", "/workers"): Right.READ_ALL,
    ("GET", "/usage"): Right.ANY,
    ("GET", "/keys"): Right.ADMIN,
    ("POST", "/keys"): Right.ADMIN,
    ("PATCH", "/keys/{key_id}"): Right.ADMIN,
    ("DELETE", "/keys/{key_id}"): Right.ADMIN,
    ("GET", "/audit"): Right.ADMIN,
    ("GET", "/health/live"): Right.ANY,
    ("GET", "/health/ready"): Right.ANY,
    ("GET", "/causes"): Right.ANY,
    ("GET", "/causes.json"): Right.ANY,
    ("GET", "/causes/{code}"): Right.ANY,
    ("GET", "/docs"): Right.ANY,
    ("GET", "/problems/{code}"): Right.ANY,
}
AUDITED: dict[tuple[str, str], str] = {
    ("POST", "/diagnose"): "diagnosis.submit",
    ("DELETE", "/diagnoses/{diagnosis_id}"): "diagnosis.delete",
    ("GET", "/diagnoses/{diagnosis_id}/report"): "report.read",
    ("GET", "/diagnoses/{diagnosis_id}/report.html"): "report.read",
    ("GET", "/diagnoses/{diagnosis_id}/model"): "model.read",
    ("POST", "/webhooks/deliveries/{delivery_id}/retry"): "delivery.retry",
    ("POST", "/webhooks/endpoints/{name}/enable"): "endpoint.enable",
    ("POST", "/keys"): "key.add",
    ("PATCH", "/keys/{key_id}"): "key.change",
    ("DELETE", "/keys/{key_id}"): "key.revoke",
    ("GET", "/audit"): "audit.read",
}
"""What is written into the audit log, besides all else that changes something and all that is refused for its caller.
Reading a job's state again and again is not: that is what waiting for it looks like."""


def caller_of(scope: Scope) -> Caller:
    """Who was let in by the gate."""
    return cast(Caller, scope.get("state", {}).get("caller", ANYBODY))


async def check_right(request: Request) -> None:
    """Raise Forbidden where the caller's roles do not have what the route asks for. `app.main` puts it before all."""
    place = place_of(request.scope)
    wanted = RIGHTS.get(place, Right.ADMIN)
    caller = caller_of(request.scope)
    if caller.may(wanted):
        return
    if caller.is_anonymous:
        raise Forbidden(
            "This needs a key with the role admin, and none is asked for yet: `phasegap keys add` makes one."
        )
    has = ", ".join(sorted(caller.roles)) or "no role"
    raise Forbidden(f"This needs the right to {wanted}; the key has: {has}.", headers={"Vary": "Authorization"})


def place_of(scope: Scope) -> tuple[str, str]:
    """Method and route, as the tables name them; an empty route where there is none."""
    method = "GET" if scope["method"] == "HEAD" else str(scope["method"])
    return method, str(getattr(scope.get("route"), "path", ""))


def places(routes: Iterable[Any]) -> set[tuple[str, str]]:
    """Those of all routes, of which each method has its own."""
    return {(method, route.path) for route in routes for method in (route.methods or ()) if method not in ("HEAD",)}
