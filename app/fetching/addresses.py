"""Which addresses files are fetched from: names are looked up once, and every answer is judged before one is called."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from app.addresses import Address, Network, is_public

LOOKUPS = 8
"""Names looked up at a time, in threads of their own: a slow name server must not hold up what else runs in threads."""
LOOKUP_SECONDS = 10.0
TRIES = 3
"""Addresses of one name that are tried, one after the other."""


class AddressRefusedError(Exception):
    """The host has no address that may be connected to. Which it has is not told."""


class Guard:
    """Decides on addresses; `private_networks` are let through though they are not public."""

    def __init__(self, private_networks: Iterable[Network] = (), *, everything: bool = False) -> None:
        self._networks = tuple(private_networks)
        self._everything = everything
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")  # starts them when they are needed

    def allows(self, address: Address) -> bool:
        """Whether it may be connected to."""
        return self._everything or is_public(address) or self.is_named(address)

    def is_named(self, address: Address) -> bool:
        """Whether it lies in one of the networks that were named."""
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
