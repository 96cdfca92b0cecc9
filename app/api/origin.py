"""Where a request comes from, as far as browsers tell: a stranger's page must not use its visitor's browser against us.

Nothing here takes the place of an API key. It closes two ways to a service on somebody's own machine or network: a
form that another site sends in its visitor's name, and a name of an attacker's that was made to point at our address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from app.errors import InvalidRequest

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
OWN_SITES = ("same-origin", "none")
PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test")
"""Names that nobody can register, so that none of them can be an attacker's."""


def check_host(headers: Headers, allowed: Collection[str], keys_are_asked_for: bool) -> None:
    """Raise InvalidRequest where the service is called by a name that it does not have."""
    name = host_name(headers.get("host", ""))
    if name in {host.lower() for host in allowed}:
        return
    if allowed or not (keys_are_asked_for or _is_private(name)):
        raise InvalidRequest(
            f"The service is not called {name[:100]!r}. Its operator names what it is called in PHASEGAP_ALLOWED_HOSTS."
        )


def check_site(method: str, headers: Headers, allowed: Collection[str]) -> None:
    """Raise InvalidRequest where a page of another site made a browser send this."""
    if method in SAFE_METHODS:
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        is_own = site in OWN_SITES
    elif origin is not None:
        is_own = host_name(urlsplit(origin).netloc) in {host_name(headers.get("host", "")), *allowed}
    else:
        is_own = True  # no browser
    if not is_own:
        raise InvalidRequest("A page of another site made this request. Only pages of this service may.")


def host_name(authority: str) -> str:
    """The name in `name:port`, lowered and without the brackets of an IPv6 address."""
    name = authority.rpartition("@")[2].strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".")


def _is_private(name: str) -> bool:
    if ("." not in name and ":" not in name) or name.endswith(PRIVATE_ENDINGS):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
