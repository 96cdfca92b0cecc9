"""A span for every request: the beginning of a trace, or the next part of the client's."""

from __future__ import annotations

from opentelemetry.trace import SpanKind, StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.metrics import KNOWN_METHODS
from app.traces import HEADER, context_of, span

UNTRACED = ("/health/", "/metrics", "/static/")
"""What is asked every few seconds by machines, and tells nothing."""


class TraceMiddleware:
    """Puts each request into a span, by method and route: paths and headers are made up by clients."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(UNTRACED):
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in KNOWN_METHODS else "other"
        parent = context_of(Headers(scope=scope).get(HEADER))
        with span(method, parent, SpanKind.SERVER, {"http.request.method": method}) as current:

            async def note_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    current.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        current.set_status(StatusCode.ERROR)
                await send(message)

            await self._app(scope, receive, note_status)
            route = getattr(scope.get("route"), "path", None)
            if route is not None:
                current.set_attribute("http.route", route)
                current.update_name(f"{method} {route}")
