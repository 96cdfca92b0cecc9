"""Which addresses are connected to: names are looked up once, every answer is checked, and that very address is called.

A name that is looked up again when the connection is made could lead elsewhere by then (DNS rebinding); here the
connection is given the address that was checked, and TLS the name that was asked for.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpcore2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
"""All that is routed. Outside lie loopback, local networks, IPv4 addresses in IPv6 form and translators to them."""
TUNNELS = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"))
"""6to4 and Teredo: they carry an IPv4 address, which may be anyone's."""
ASSIGNED = ipaddress.IPv4Network("192.0.0.0/24")
"""For protocols only, a cloud's metadata service among them; older Pythons take most of it for public."""
LOOKUPS = 8
"""Names looked up at a time, in threads of their own: a slow name server must not hold up what else runs in threads."""
LOOKUP_SECONDS = 10.0
TRIES = 3
"""Addresses of one name that are tried, one after the other."""


class AddressRefusedError(Exception):
    """The host has no address that may be connected to. Which it has is not told."""


def is_public(address: Address) -> bool:
    """Whether an address is of the public internet: not this machine's, no local network's, no metadata service's."""
    if isinstance(address, ipaddress.IPv6Address) and (
        address not in PUBLIC_IPV6 or any(address in tunnel for tunnel in TUNNELS)
    ):
        return False
    if isinstance(address, ipaddress.IPv4Address) and address in ASSIGNED:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


class Guard:
    """Decides on addresses; `private_networks` are let through though they are not public."""

    def __init__(self, private_networks: Iterable[Network] = (), *, everything: bool = False) -> None:
        self._networks = tuple(private_networks)
        self._everything = everything
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")  # starts them when they are needed

    def allows(self, address: Address) -> bool:
        if self._everything or is_public(address):
            return True
        return any(address.version == network.version and address in network for network in self._networks)

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host, all of which may be connected to.

        Raises:
            AddressRefusedError: there are none, or one that may not.
        """
        try:
            look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            waiting = asyncio.get_running_loop().run_in_executor(self._threads, look_up)
            found = await asyncio.wait_for(waiting, LOOKUP_SECONDS)
        except (OSError, UnicodeError) as error:
            raise AddressRefusedError from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses or not all(self.allows(ipaddress.ip_address(address)) for address in addresses):
            raise AddressRefusedError
        return addresses


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections for the HTTP client, to addresses that the guard has let through."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers."""
        addresses = (await self._guard.addresses(host, port))[:TRIES]
        for address in addresses[:-1]:
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.NetworkError, httpcore2.TimeoutException):
                continue
        return await self._plain.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._plain.sleep(seconds)
