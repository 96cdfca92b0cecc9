"""Where a delivery may go. A URL is attack surface: behind its name may stand an address of our own network.

The name is resolved here, every address it has is judged, and the connection is made to an address that was judged, so
that a name cannot mean something else a moment later. TLS still checks the certificate against the name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Collection, Iterable

import httpcore2
from httpcore2 import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses that a gateway turns into the IPv4 address at their end."""
ADDRESSES_TRIED = 4


class OutOfReach(Exception):  # noqa: N818 - says what is wrong with the address
    """The address is none that may be connected to."""


def judge(text: str, networks: Collection[IPNetwork], *, encrypted: bool) -> IPAddress:
    """The address, if it may be connected to.

    Raises:
        OutOfReach: it is not public and in none of the networks that are allowed, or would be told in the clear.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    meant = _meant(address)
    if any(meant in network for network in networks):
        return address
    if not (meant.is_global and _is_plain(meant)):
        raise OutOfReach(
            "The name leads to an address that is not public; PHASEGAP_WEBHOOK_NETWORKS_ALLOWED opens some."
        )
    if not encrypted:
        raise OutOfReach("Outside of PHASEGAP_WEBHOOK_NETWORKS_ALLOWED only https:// is told anything.")
    return address


def _meant(address: IPAddress) -> IPAddress:
    """The IPv4 address where an IPv6 one only wraps it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_plain(address: IPAddress) -> bool:
    return not (address.is_multicast or address.is_reserved or address.is_unspecified)


class Pinned(AsyncNetworkBackend):
    """Connects to addresses that were judged, and to nothing else."""

    def __init__(self, resolve: Resolve, networks: Collection[IPNetwork], *, encrypted: bool) -> None:
        self._resolve, self._networks, self._encrypted = resolve, networks, encrypted
        self._inner = AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        found = await self._resolve(host.strip("[]"), port)
        # One address out of reach is enough to refuse: a name with both kinds is a trick, or a mistake.
        judged = [judge(text, self._networks, encrypted=self._encrypted) for text in dict.fromkeys(found)]
        failure: Exception = httpcore2.ConnectError("no address")
        for address in judged[:ADDRESSES_TRIED]:
            try:
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure
