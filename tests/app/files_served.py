"""A web server on loopback that serves files well and badly: what a URI in place of an upload may lead to."""

from __future__ import annotations

import gzip
import ssl
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.app.loopback import Loopback, QuietHandler

PIECE = b"PK\x03\x04" + bytes(65532)
BOMB = gzip.compress(bytes(20_000_000))
DRIP_SECONDS = 0.2
ENDLESS_BYTES = 200_000_000
"""Far more than any limit in the tests; a server that is not stopped by then was read to the end."""


class FileServer(Loopback):
    """`files` by path; `seen` holds path and headers of each request, `sent_bytes` how much of `/endless` was taken."""

    def __init__(self, files: dict[str, bytes] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.files = files or {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.sent_bytes = 0
        super().__init__(_handler(self), tls)


def _handler(owner: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler):
        def do_GET(self) -> None:
            owner.seen.append((self.path, dict(self.headers.items())))
            self.close_connection = True
            parts = urlsplit(self.path)
            try:
                act = getattr(self, f"act_{parts.path.split('/')[1].partition('.')[0]}", self.act_file)
                act(parts.path, parse_qs(parts.query))
            except (BrokenPipeError, ConnectionResetError):
                pass

        def head(self, status: int = 200, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Connection", "close")
            self.end_headers()

        def act_file(self, path: str, query: dict[str, list[str]]) -> None:
            content = owner.files.get(path)
            if content is None:
                self.head(404, Content_Length="6")
                self.wfile.write(b"secret")
                return
            self.head(Content_Length=str(len(content)))
            self.wfile.write(content)

        def act_redirect(self, path: str, query: dict[str, list[str]]) -> None:
            self.head(302, Location=query["to"][0], Content_Length="0")

        def act_status(self, path: str, query: dict[str, list[str]]) -> None:
            self.head(int(query["code"][0]), Content_Length="6")
            self.wfile.write(b"secret")

        def act_endless(self, path: str, query: dict[str, list[str]]) -> None:
            self.head()
            while owner.sent_bytes < ENDLESS_BYTES:
                self.wfile.write(PIECE)
                owner.sent_bytes += len(PIECE)

        def act_drip(self, path: str, query: dict[str, list[str]]) -> None:
            self.head(Content_Length="1000000")
            for _ in range(200):
                self.wfile.write(b"P")
                time.sleep(DRIP_SECONDS)

        def act_mute(self, path: str, query: dict[str, list[str]]) -> None:
            for _ in range(200):
                self.wfile.write(b"HTTP/1.1 200 OK\r\n" if _ == 0 else b"X")
                time.sleep(DRIP_SECONDS)

        def act_packed(self, path: str, query: dict[str, list[str]]) -> None:
            self.head(Content_Encoding="gzip", Content_Length=str(len(BOMB)))
            self.wfile.write(BOMB)

        def act_short(self, path: str, query: dict[str, list[str]]) -> None:
            self.head(Content_Length="1000")
            self.wfile.write(PIECE[:100])

        def act_noise(self, path: str, query: dict[str, list[str]]) -> None:
            self.wfile.write(b"SSH-2.0-secret\r\n")

    return Handler
