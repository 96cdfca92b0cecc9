"""What stands before every route: API keys, the rate limit, security headers, and reading away what was refused."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import time
from collections import OrderedDict
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.answers import error_response
from app.errors import Problem, TooManyRequests, Unauthorized
from app.settings import Settings

OPEN_PATHS = ("/health/", "/static/")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CLIENTS_REMEMBERED = 10_000


class Gate:
    """Lets a request through, or answers it without its body having been looked at."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._rates = RateLimit(settings.submissions_per_minute_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        guarded = _GuardedSend(send, receive, self._settings, _sends_blindly(scope))
        try:
            owner = self._check_key(scope)
            scope.setdefault("state", {})["owner"] = owner
            if scope["method"] == "POST":
                self._rates.take(owner or (scope.get("client") or ("unknown",))[0])
        except Problem as problem:
            await error_response(Request(scope), problem)(scope, receive, guarded)
            return
        await self._app(scope, guarded.receive, guarded)

    def _check_key(self, scope: Scope) -> str:
        """The name of the key that was sent, "" where none is needed."""
        accepted = self._settings.api_key_hashes
        if not accepted or scope["path"].startswith(OPEN_PATHS):
            return ""
        digest = hashlib.sha256(sent_key(Headers(scope=scope)).encode()).hexdigest()
        matches = [hmac.compare_digest(digest, known) for known in accepted]  # all of them: the time tells nothing
        if not any(matches):
            raise Unauthorized(
                "Send an API key: `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
                headers={"WWW-Authenticate": 'Bearer, Basic realm="PhaseGap", charset="UTF-8"'},
            )
        return digest[:16]


def sent_key(headers: Headers) -> str:
    """The key in `Authorization` (Bearer, or Basic's password as browsers send it) or `X-API-Key`."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        with suppress(binascii.Error, UnicodeDecodeError):
            return base64.b64decode(value.strip()).decode().partition(":")[2]
    return headers.get("x-api-key", "")


class RateLimit:
    """A token bucket for each client: a minute's worth at once, then evenly."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Count one request, or raise TooManyRequests."""
        if self._per_minute == 0:
            return
        now_s = time.monotonic()
        tokens, seen_s = self._buckets.pop(client, (float(self._per_minute), now_s))
        tokens = min(float(self._per_minute), tokens + (now_s - seen_s) * self._per_minute / 60)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, now_s)
        if len(self._buckets) > CLIENTS_REMEMBERED:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = str(max(1, round((1 - tokens) * 60 / self._per_minute)))
            detail = f"At most {self._per_minute} submissions a minute are accepted from one client."
            raise TooManyRequests(detail, headers={"Retry-After": wait})


def _sends_blindly(scope: Scope) -> bool:
    """Whether the client sends its body without waiting for leave to do so."""
    return scope["method"] in ("POST", "PUT", "PATCH") and "expect" not in Headers(scope=scope)


class _GuardedSend:
    """Sends with security headers; before it ends an answer that came early, it reads away the rest of the body.

    A plain client writes its whole body before it reads. If the server closed on it, it would see a broken connection
    instead of the refusal, so the refusal is sent at once and the body is thrown away, within limits, afterwards.
    """

    def __init__(self, send: Send, receive: Receive, settings: Settings, may_drain: bool) -> None:
        self._send = send
        self._receive = receive
        self._settings = settings
        self._body_ended = not may_drain

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._body_ended = True
        return message

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last and not self._body_ended and message.get("body"):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _drain(self) -> None:
        read_bytes = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                while not self._body_ended and read_bytes < self._settings.drain_limit_bytes:
                    message = await self.receive()
                    read_bytes += len(message.get("body", b""))
