"""Where a delivery may go. A URL is attack surface: behind its name may stand an address of our own network.

The name is resolved here, every address it has is judged, and the connection is made to an address that was judged, so
that a name cannot mean something else a moment later. TLS still checks the certificate against the name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable

from app.addresses import Address, Network, is_public

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses that a gateway turns into the IPv4 address at their end."""
ADDRESSES_TRIED = 4


class OutOfReach(Exception):  # noqa: N818 - says what is wrong with the address
    """The address is none that may be connected to."""


def judge(text: str, networks: Collection[Network], *, encrypted: bool) -> Address:
    """The address, if it may be connected to.

    Raises:
        OutOfReach: it is not public and in none of the networks that are allowed, or would be told in the clear.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    meant = _meant(address)
    if any(meant in network for network in networks):
        return address
    if not is_public(meant):
        raise OutOfReach(
            "The name leads to an address that is not public; PHASEGAP_WEBHOOK_NETWORKS_ALLOWED opens some."
        )
    if not encrypted:
        raise OutOfReach("Outside of PHASEGAP_WEBHOOK_NETWORKS_ALLOWED only https:// is told anything.")
    return address


def _meant(address: Address) -> Address:
    """The IPv4 address where an IPv6 one only wraps it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def all_judged(found: Iterable[str], networks: Collection[Network], *, encrypted: bool) -> list[str]:
    """The addresses of a name, each once. One out of reach is enough to refuse: a name with both kinds is a trick, or a
    mistake.

    Raises:
        OutOfReach: see `judge`.
    """
    return [str(judge(text, networks, encrypted=encrypted)) for text in dict.fromkeys(found)]
