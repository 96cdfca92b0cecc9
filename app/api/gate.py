"""What stands before every route: where a request comes from, who sends it, the rate limit, the audit log, and what
nobody expected.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.answers import error_response
from app.api.audited import Auditor
from app.api.context import Context
from app.api.envelope import Envelope
from app.api.errors import on_anything_else
from app.api.origin import check_host, check_site
from app.api.rates import RateLimit, client_of
from app.api.rights import READING
from app.callers import ANYBODY, Caller, narrowed_to
from app.errors import InvalidRequest, Problem
from app.settings import Settings

OPEN_PATHS = ("/health/", "/static/")


class Gate:
    """Lets a request through, or answers it without its body having been looked at."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._rates = RateLimit(settings.submissions_per_minute_limit)
        self._auditor = Auditor()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        envelope = Envelope(scope, receive, send, self._settings)
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        context: Context = scope["app"].state.context

        async def audited(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._auditor.note(inner, message, context.services.audit)
            await envelope.send(message)

        try:
            caller = await self._admit(inner, context)
            changing = inner["method"] not in READING
            with narrowed_to(None if caller.reaches_all_for(changing) else caller.owner):
                await self._app(inner, envelope.receive, audited)
        except Problem as problem:
            await error_response(Request(inner), problem)(inner, receive, audited)
        except Exception as error:
            if envelope.started:
                raise
            answer = await on_anything_else(Request(inner), error)
            await answer(inner, receive, audited)
        await envelope.finish()
        if "route" in inner:
            scope["route"] = inner["route"]  # what the metrics outside count by

    async def _admit(self, scope: Scope, context: Context) -> Caller:
        headers, hosts = Headers(scope=scope), self._settings.allowed_hosts
        caller = ANYBODY
        if not scope["path"].startswith(OPEN_PATHS):
            keys = await context.admission.keys()
            check_host(headers, hosts, context.admission.asks_for_keys(keys))
            caller = await context.admission.caller_of(headers, keys)
            check_site(scope["method"], headers, hosts)
        if "content-length" in headers and "transfer-encoding" in headers:
            detail = "Content-Length and Transfer-Encoding contradict each other; send one of them."
            raise InvalidRequest(detail, headers={"Connection": "close"})  # what follows could be read in two ways
        scope["state"] = {**scope.get("state", {}), "caller": caller}
        if scope["method"] == "POST":
            self._rates.take(caller.owner or client_of(scope))
        return caller
