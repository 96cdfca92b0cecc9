"""How often one client may do something."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from contextlib import suppress

from starlette.types import Scope

from app.errors import TooManyRequests

CLIENTS_REMEMBERED = 10_000
IPV6_NETWORK_BITS = 64
"""What one customer is given at least: the addresses in it are one client."""


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
