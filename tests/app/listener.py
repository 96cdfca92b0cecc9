"""A real HTTP receiver of webhooks on loopback, with a signature check of its own: nothing of the product is in it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "whsec_" + base64.b64encode(b"a test's secret, 32 bytes long..").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret, 32 bytes long...").decode()

Script = Callable[["Handler", int], None]
"""What to do with a request, by its number from 0."""


@dataclass
class Told:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes
    path: str
    at_s: float

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    def is_signed_by(self, secret: str, tolerance_s: float = 30.0) -> bool:
        """Standard Webhooks, by its text: HMAC-SHA256 of id.timestamp.body with the decoded secret, in base64."""
        moment = self.headers["webhook-timestamp"]
        if abs(time.time() - int(moment)) > tolerance_s:
            return False
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = b".".join([self.headers["webhook-id"].encode(), moment.encode(), self.body])
        wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return wanted in self.headers["webhook-signature"].split(" ")


class Handler(BaseHTTPRequestHandler):
    """Writes a request down, then plays the script."""

    listener: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.listener.lock:
            number = len(self.listener.told)
            self.listener.told.append(Told(headers, body, self.path, time.monotonic()))
        self.listener.script(self, number)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", "0")
        self.end_headers()


def accept(handler: Handler, _: int) -> None:
    handler.answer(204)


class Listener:
    """Runs until the end of the `with` block; `script` may be exchanged at any time."""

    def __init__(self, script: Script = accept, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.script, self.lock, self.told = script, threading.Lock(), list[Told]()
        self.released = threading.Event()
        handler = type("Bound", (Handler,), {"listener": self})
        self._server = ThreadingHTTPServer((host, 0), handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"http://{host}:{self.port}/hook"

    def __enter__(self) -> Listener:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def never_answer(self, handler: Handler, _: int) -> None:
        self.released.wait(60)
        handler.close_connection = True
