"""One attempt to tell one listener, from name to answer, in one time limit. Nothing of the answer's body is kept."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Collection
from concurrent.futures import Executor
from dataclasses import dataclass

import httpcore2

from app.addresses import Network, Pinned
from app.webhooks.reach import ADDRESSES_TRIED, OutOfReach, all_judged
from phasegap.retry_after import seconds_of

BODY_LIMIT_BYTES = 16 * 1024
"""What is read of an answer, and thrown away, before the connection is closed: enough for any acknowledgement."""
BODY_SECONDS = 1.0
"""How long that may take, closing included."""
LONGEST_ADVICE_S = 24 * 3600.0


@dataclass(frozen=True)
class Answer:
    """What became of an attempt: the listener's status, or why there is none."""

    status: int | None
    reason: str
    retry_after_s: float = 0.0

    @property
    def is_arrival(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends over connections of its own, resolves names in threads of its own."""

    def __init__(self, networks: Collection[Network], limit_seconds: float, threads: Executor) -> None:
        self._networks, self._limit_s, self._threads = networks, limit_seconds, threads
        self._tls = httpcore2.default_ssl_context()  # reading all authorities takes long enough to do it once

    async def send(self, url: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """Try once. Every failure is an answer, too."""
        try:
            return await self._post(url, headers, body)
        except TimeoutError:
            return Answer(None, f"No answer within {self._limit_s:g} seconds.")
        except OutOfReach as error:
            return Answer(None, str(error))
        except socket.gaierror:
            return Answer(None, "The name could not be resolved.")
        except httpcore2.ConnectError as error:
            return Answer(None, _why_not(error))
        except (httpcore2.NetworkError, httpcore2.TimeoutException, OSError):
            return Answer(None, "The connection was cut before there was an answer.")
        except httpcore2.ProtocolError:
            return Answer(None, "What came back is not HTTP.")

    async def _post(self, url: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        encrypted = url.startswith("https:")

        async def judged(host: str, port: int) -> list[str]:
            return all_judged(await self._resolve(host.strip("[]"), port), self._networks, encrypted=encrypted)

        reach = Pinned(judged, ADDRESSES_TRIED)
        found: Answer | None = None
        try:
            # A connection for each attempt: one that is kept would lead to an address that was judged earlier.
            async with (
                asyncio.timeout(self._limit_s) as limit,
                httpcore2.AsyncConnectionPool(self._tls, network_backend=reach, max_keepalive_connections=0) as pool,
                pool.stream("POST", url, headers=headers, content=body) as response,
            ):
                found = _answer(response)
                limit.reschedule(asyncio.get_running_loop().time() + BODY_SECONDS)
                await _drain(response)
        except (TimeoutError, httpcore2.NetworkError, httpcore2.ProtocolError):
            if found is None:
                raise
        return found or Answer(None, "There was no answer.")  # the status has come: what follows is no failure

    async def _resolve(self, host: str, port: int) -> list[str]:
        def look_up() -> list[str]:
            return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]

        return await asyncio.get_running_loop().run_in_executor(self._threads, look_up)


async def _drain(response: httpcore2.Response) -> None:
    """Read a little, so that a listener's own write does not fail."""
    read_bytes = 0
    async for chunk in response.aiter_stream():
        read_bytes += len(chunk)
        if read_bytes > BODY_LIMIT_BYTES:
            return


def _answer(response: httpcore2.Response) -> Answer:
    status = response.status
    if 300 <= status < 400:
        return Answer(status, f"It answered {status}, and redirects are not followed: configure the final URL.")
    return Answer(status, f"It answered {status}.", _advised_wait_s(dict(response.headers).get(b"retry-after", b"")))


def _advised_wait_s(value: bytes) -> float:
    """What `Retry-After` asks for, in seconds from now."""
    return min(LONGEST_ADVICE_S, seconds_of(value.decode("latin-1")) or 0.0)


def _why_not(error: httpcore2.ConnectError) -> str:
    if isinstance(error.__cause__ or error.__context__, ssl.SSLError):
        return "Its certificate was not accepted, or it does not speak TLS."
    return "No connection could be made."
