"""Bytes by HTTP: plain GET requests with nothing of the client's or the server's in them.

Redirects are followed a few times, each as if it had been asked for itself. Nothing is unpacked; proxies of the
environment are not used.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from urllib.parse import urljoin

import httpcore2

from app.addresses import Pinned
from app.fetching.addresses import TRIES, AddressRefusedError, Guard
from app.uris import DEFAULT_PORTS, BadUriError, Uri, parse_uri

REDIRECTS = 3
REDIRECTING = (301, 302, 303, 307, 308)
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""How long nothing may come; the caller holds the whole to its time and rate."""
TIMES = {"connect": CONNECT_SECONDS, "read": SILENCE_SECONDS, "write": CONNECT_SECONDS, "pool": CONNECT_SECONDS}
HEADERS: dict[bytes | str, bytes | str] = {"User-Agent": "PhaseGap", "Accept": "*/*", "Accept-Encoding": "identity"}
UNREACHABLE = "its host cannot be reached from here, or has an address that is not public and that is not allowed"
"""One sentence for a name without an address, an address that is refused and a port that is closed: the difference
would tell a stranger what is there.
"""


class FetchFailedError(Exception):
    """What was asked for could not be had; the message says why, for the person who asked."""


class NotAnsweredError(FetchFailedError):
    """The host answered that the request means nothing to it (400)."""


class NothingThereError(FetchFailedError):
    """The host answered that it has no such thing."""


@asynccontextmanager
async def opened(
    uri: Uri, guard: Guard, check: Callable[[Uri], None], headers: Mapping[bytes | str, bytes | str] | None = None
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The body of the answer to a GET. `check` refuses where a redirect may not lead.

    Raises:
        FetchFailedError: the host is not reached, answers something else, or ends before it should.
    """
    backend, wanted = Pinned(guard.addresses, TRIES), {**_headers(uri), **(headers or {})}
    async with httpcore2.AsyncConnectionPool(ssl_context=_trust(), network_backend=backend) as pool:
        for _ in range(REDIRECTS + 1):
            with _told():
                request = pool.stream("GET", _url(uri), headers=wanted, extensions={"timeout": TIMES})
                response = await request.__aenter__()
            try:
                if response.status not in REDIRECTING:
                    _check_answer(response)
                    yield _body(response)
                    return
                uri = _redirected(uri, response)
                check(uri)
                wanted = _headers(uri)
            finally:
                await request.__aexit__(None, None, None)
    raise FetchFailedError(f"it was redirected more than {REDIRECTS} times")


@cache
def _trust() -> ssl.SSLContext:
    """The certificates that the system trusts (or `SSL_CERT_FILE`), read once."""
    return ssl.create_default_context()


def _headers(uri: Uri) -> dict[bytes | str, bytes | str]:
    return {"Host": uri.place.partition("//")[2], **HEADERS}


def _url(uri: Uri) -> httpcore2.URL:
    target = uri.path + (f"?{uri.query}" if uri.query else "")
    return httpcore2.URL(scheme=uri.scheme, host=uri.host, port=uri.port, target=target)


class _told:  # noqa: N801 - reads as what it does
    """Turns what can happen on the way into FetchFailedError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, AddressRefusedError | httpcore2.ConnectError | httpcore2.ConnectTimeout):
            raise FetchFailedError(UNREACHABLE) from error
        if isinstance(error, httpcore2.TimeoutException):
            raise FetchFailedError(f"nothing came for {SILENCE_SECONDS:g} seconds") from error
        if isinstance(error, httpcore2.NetworkError | httpcore2.ProtocolError):
            raise FetchFailedError("the host ended the connection early, or does not speak HTTP") from error


def _check_answer(response: httpcore2.Response) -> None:
    if response.status == 400:
        raise NotAnsweredError("the host answered with status 400 in place of the file")
    if response.status in (404, 410):
        raise NothingThereError("the host has nothing there (404)")
    if response.status in (401, 403):
        raise FetchFailedError(f"the host wants a permission that this service does not have ({response.status})")
    if response.status != 200:
        raise FetchFailedError(f"the host answered with status {response.status} in place of the file")
    encoding = _header(response, b"content-encoding").strip().lower()
    if encoding not in ("", "identity"):
        raise FetchFailedError(f"the host sends it compressed ({encoding[:20]!r}); it must be served as it is")


def _redirected(uri: Uri, response: httpcore2.Response) -> Uri:
    try:
        target = parse_uri(urljoin(f"{uri.place}{uri.path}", _header(response, b"location")))
    except ValueError as error:
        why = f": {error}" if isinstance(error, BadUriError) else ""
        raise FetchFailedError(f"it was redirected to what is no URI that is fetched here{why}") from error
    if target.scheme not in DEFAULT_PORTS:
        raise FetchFailedError("it was redirected to another scheme than https and http")
    return target


def _header(response: httpcore2.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


async def _body(response: httpcore2.Response) -> AsyncIterator[bytes]:
    with _told():
        async for chunk in response.aiter_stream():
            yield chunk
