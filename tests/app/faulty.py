"""A proxy on loopback before a server that speaks HTTP, which spoils some of what goes through, or all of it."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from tests.app.loopback import Loopback, QuietHandler

KINDS = ("unavailable", "reset", "lost", "truncated")
"""In turn: 503; the connection reset before the server has seen anything; reset when it has done what was asked; the
answer's body cut in half.
"""
SILENCE_S = 60.0
"""A further kind, `silent`, takes the request and says nothing for this long."""
HEADERS_OF_ITS_OWN = ("connection", "transfer-encoding", "keep-alive", "content-length")


class FaultyProxy(Loopback):
    """`every` = 3 spoils each third request, 1 all of them, 0 none, by `kinds` in turn; `spoilt` counts them.

    `when` says of a request, "GET /path", whether it counts at all.
    """

    def __init__(self, upstream: str, every: int = 0) -> None:
        self.upstream = upstream.removeprefix("http://")
        self.every = every
        self.kinds: tuple[str, ...] = KINDS
        self.when: Callable[[str], bool] = lambda request: True
        self.requests = 0
        self.spoilt: dict[str, int] = dict.fromkeys(KINDS, 0)
        self._lock = threading.Lock()
        super().__init__(_handler(self))

    def fault(self, request: str) -> str | None:
        """What to do to this request."""
        if not self.when(request):
            return None
        with self._lock:
            self.requests += 1
            if not self.every or self.requests % self.every:
                return None
            kind = self.kinds[sum(self.spoilt.values()) % len(self.kinds)]
            self.spoilt[kind] = self.spoilt.get(kind, 0) + 1
            return kind


def _handler(owner: FaultyProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler):
        disable_nagle_algorithm = True

        def act(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind = owner.fault(f"{self.command} {self.path}")
            if kind == "unavailable":
                return self.answer(503, [], b"<Error><Code>SlowDown</Code></Error>")
            if kind == "silent":
                time.sleep(SILENCE_S)
            if kind in ("reset", "silent"):
                return self.reset()
            status, headers, content = self.forward(body)
            if kind == "lost":
                return self.reset()
            self.answer(status, headers, content, cut=kind == "truncated")

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = act

        def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = http.client.HTTPConnection(owner.upstream, timeout=60)
            try:
                kept = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                connection.request(self.command, self.path, body, kept)
                response = connection.getresponse()
                return response.status, response.getheaders(), response.read()
            finally:
                connection.close()

        def answer(self, status: int, headers: list[tuple[str, str]], content: bytes, cut: bool = False) -> None:
            self.send_response_only(status)
            length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
            kept = [(name, value) for name, value in headers if name.lower() not in HEADERS_OF_ITS_OWN]
            for name, value in [*kept, ("Content-Length", length)]:
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if cut else content)
            if cut:
                self.reset()

        def reset(self) -> None:
            """Close so that the other side is told of a broken connection, not of an end."""
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()

    return Handler
