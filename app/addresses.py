"""Connections to addresses that were judged, for whoever calls a name that a stranger or an operator gave.

A name that is looked up again when the connection is made could lead elsewhere by then (DNS rebinding); here the
connection goes to the very address that was judged, and TLS is given the name that was asked for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable

import httpcore2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Judge = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host that may be connected to; raises where it has one that may not."""

PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
"""All that is routed. Outside lie loopback, local networks, IPv4 addresses in IPv6 form and translators to them."""
TUNNELS = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"))
"""6to4 and Teredo: they carry an IPv4 address, which may be anyone's."""
ASSIGNED = ipaddress.IPv4Network("192.0.0.0/24")
"""For protocols only, a cloud's metadata service among them; older Pythons take most of it for public."""


def is_public(address: Address) -> bool:
    """Whether an address is of the public internet: not this machine's, no local network's, no metadata service's."""
    if isinstance(address, ipaddress.IPv6Address) and (
        address not in PUBLIC_IPV6 or any(address in tunnel for tunnel in TUNNELS)
    ):
        return False
    if isinstance(address, ipaddress.IPv4Address) and address in ASSIGNED:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


class Pinned(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were judged, the first `tries` of a host in their order, and to nothing else."""

    def __init__(self, judge: Judge, tries: int) -> None:
        self._judge, self._tries = judge, tries
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers."""
        failure: Exception = httpcore2.ConnectError("no address")
        for address in (await self._judge(host, port))[: self._tries]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.NetworkError, httpcore2.TimeoutException) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Of use to the pool, between its own tries."""
        await self._inner.sleep(seconds)
