"""What stands before every route: where a request comes from, API keys, the rate limit, and what nobody expected."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.answers import error_response
from app.api.envelope import Envelope
from app.api.errors import on_anything_else
from app.api.origin import check_host, check_site
from app.errors import InvalidRequest, Problem, TooManyRequests, Unauthorized
from app.settings import Settings

OPEN_PATHS = ("/health/", "/static/")
CLIENTS_REMEMBERED = 10_000
IPV6_NETWORK_BITS = 64
"""What one customer is given at least: the addresses in it are one client."""

SECRETLESS = "Send an API key: `Authorization: Bearer KEY` or `X-API-Key: KEY`."


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
        envelope = Envelope(scope, receive, send, self._settings)
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        try:
            self._check(inner)
            await self._app(inner, envelope.receive, envelope.send)
        except Problem as problem:
            await error_response(Request(inner), problem)(inner, receive, envelope.send)
        except Exception as error:
            if envelope.started:
                raise
            answer = await on_anything_else(Request(inner), error)
            await answer(inner, receive, envelope.send)
        await envelope.finish()
        if "route" in inner:
            scope["route"] = inner["route"]  # what the metrics outside count by

    def _check(self, scope: Scope) -> None:
        headers, settings = Headers(scope=scope), self._settings
        owner = ""
        if not scope["path"].startswith(OPEN_PATHS):
            check_host(headers, settings.allowed_hosts, bool(settings.api_key_hashes))
            owner = check_key(headers, settings.api_key_hashes)
            check_site(scope["method"], headers, settings.allowed_hosts)
        if "content-length" in headers and "transfer-encoding" in headers:
            detail = "Content-Length and Transfer-Encoding contradict each other; send one of them."
            raise InvalidRequest(detail, headers={"Connection": "close"})  # what follows could be read in two ways
        scope.setdefault("state", {})["owner"] = owner
        if scope["method"] == "POST":
            self._rates.take(owner or client_of(scope))


def check_key(headers: Headers, accepted: Collection[str]) -> str:
    """The name of the key that was sent, "" where none is needed; or Unauthorized."""
    if not accepted:
        return ""
    digest = hashlib.sha256(sent_key(headers)).hexdigest()
    matches = [hmac.compare_digest(digest, known) for known in accepted]  # all of them: the time tells nothing
    if not any(matches):
        challenge = 'Bearer, Basic realm="PhaseGap", charset="UTF-8"'
        raise Unauthorized(SECRETLESS, headers={"WWW-Authenticate": challenge})
    return digest[:16]


def sent_key(headers: Headers) -> bytes:
    """The key in `Authorization` (Bearer, or Basic's password as browsers send it) or `X-API-Key`, as it was sent."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("latin-1")  # a header's bytes are read as Latin-1, whatever they meant
    if scheme.lower() == "basic":
        with suppress(ValueError):
            return base64.b64decode(value.strip()).partition(b":")[2]
    return headers.get("x-api-key", "").strip().encode("latin-1")


def client_of(scope: Scope) -> str:
    """Whom to count a request to: the address, of IPv6 the network."""
    host = str((scope.get("client") or ("unknown",))[0])
    if ":" not in host:
        return host
    with suppress(ValueError):
        return str(ipaddress.IPv6Network((host.partition("%")[0], IPV6_NETWORK_BITS), strict=False))
    return host


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
