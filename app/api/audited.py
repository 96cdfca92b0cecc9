"""Writes the audit log beside the requests: the line is there before the answer goes out.

Where nobody is asked for a key there is nobody to name, and nothing is written. A log that cannot be written keeps no
answer back, for what was done is done; the line stands in the service's own log then.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.types import Message, Scope

from app.api.rates import RateLimit
from app.api.rights import AUDITED, READING, caller_of, place_of
from app.callers import Caller
from app.errors import TooManyRequests
from app.tenancy.audit import Act, AuditLog

FOR_THE_CALLER = (401, 403, 429)
"""Refusals that say something of the caller, not of what was asked."""
REFUSALS_PER_MINUTE = 60
"""Lines for those of one owner, and of all who have no key together: a flood must not become one of the database."""
TARGET = re.compile(r"[A-Za-z0-9_.-]{1,100}")
DIAGNOSIS = "/diagnoses/"

log = structlog.get_logger(__name__)


class Auditor:
    """Decides what is written down, and has it written."""

    def __init__(self) -> None:
        self._refusals = RateLimit(REFUSALS_PER_MINUTE)

    async def note(self, scope: Scope, message: Message, audit: AuditLog) -> None:
        """Write the line of a request whose answer begins with this message, if it has one."""
        act = self._act(scope, message)
        if act is None:
            return
        try:
            await asyncio.to_thread(audit.record, act)
        except SQLAlchemyError as error:
            log.error("audit_not_written", reason=type(error).__name__, **vars(act))

    def _act(self, scope: Scope, message: Message) -> Act | None:
        place, status = place_of(scope), int(message["status"])
        refused = status in FOR_THE_CALLER
        if not (refused or place in AUDITED or place[0] not in READING):
            return None
        caller = caller_of(scope)
        if caller.is_anonymous and status != 401:
            return None
        if refused and not self._has_room(caller):
            return None
        outcome = "done" if status < 400 else "refused" if status < 500 else "failed"
        action = "authenticate" if status == 401 else AUDITED.get(place) or f"{place[0]} {place[1]}".strip()[:64]
        address = str((scope.get("client") or ("",))[0])[:64]
        target = _target(scope, Headers(raw=message["headers"]))
        return Act(action, outcome, target, caller.owner, caller.key_id, caller.name[:100], status, address)

    def _has_room(self, caller: Caller) -> bool:
        with suppress(TooManyRequests):
            self._refusals.take(caller.owner)
            return True
        return False


def _target(scope: Scope, headers: Headers) -> str:
    """What the request was about: the object that it names, or the one that it made."""
    noted = scope.get("state", {}).get("audit_target") or next(iter(scope.get("path_params", {}).values()), None)
    location = headers.get("location", "")
    if noted is None and location.startswith(DIAGNOSIS):
        noted = location.removeprefix(DIAGNOSIS).partition("/")[0]
    text = "" if noted is None else str(noted)
    return text if not text or TARGET.fullmatch(text) else "(no valid name)"
