"""How every answer leaves: with the security headers, in the API's form, and without cutting off who still sends."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from app.api.answers import problem_response
from app.errors import InvalidRequest, RangeNotSatisfiable
from app.settings import Settings

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Of every answer. One that sets a header of its own, such as an event stream's Cache-Control, keeps it."""

BODY_METHODS = ("POST", "PUT", "PATCH")


class Envelope:
    """`receive` and `send` of one request as the application sees them.

    A plain client writes its whole body before it reads. If the server closed on it, it would see a broken connection
    instead of the refusal, so the refusal is sent at once and the body is thrown away, within limits, afterwards.

    `HEAD` is answered as `GET` without a body; what would stream without end is told that the client has gone.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: Settings) -> None:
        self._send = send
        self._receive = receive
        self._settings = settings
        self._body_ended = not _sends_blindly(scope)
        self._is_head = scope["method"] == "HEAD"
        self._started = asyncio.Event()
        self._asked = False
        self._complete = False
        self._replaced: bytes | None = None

    @property
    def started(self) -> bool:
        """Whether part of the answer is out."""
        return self._started.is_set()

    async def receive(self) -> Message:
        if self._is_head:
            return await self._receive_for_head()
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._body_ended = True
        return message

    async def _receive_for_head(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._started.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send(self._dressed(message))
            self._started.set()
            return
        is_last = not message.get("more_body", False)
        if self._is_head or self._replaced is not None:
            body = b"" if self._is_head else self._replaced or b""
            message, self._replaced = {**message, "body": body}, b"" if self._replaced is not None else None
        if is_last and not self._body_ended and message.get("body"):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        self._complete = self._complete or is_last
        await self._send(message)

    async def finish(self) -> None:
        """End an answer to `HEAD` whose body was cut short."""
        if self._is_head and self.started and not self._complete:
            self._complete = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _dressed(self, message: Message) -> Message:
        if message["status"] >= 400 and Headers(raw=message["headers"]).get("content-type", "").startswith("text/"):
            message = self._as_problem(message)
        headers = MutableHeaders(scope=message)
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        return message

    def _as_problem(self, message: Message) -> Message:
        """A refusal that a library wrote in plain text, of a range of a file, as a problem."""
        given = MutableHeaders(raw=message["headers"])
        if given["content-type"].startswith("text/html"):
            return message
        answer = problem_response(_range_problem(message["status"], given.get("content-range")))
        self._replaced = bytes(answer.body)
        return {**message, "status": answer.status_code, "headers": answer.raw_headers}

    async def _drain(self) -> None:
        read_bytes = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                while not self._body_ended and read_bytes < self._settings.drain_limit_bytes:
                    message = await self.receive()
                    read_bytes += len(message.get("body", b""))


def _sends_blindly(scope: Scope) -> bool:
    """Whether the client sends its body without waiting for leave to do so."""
    return scope["method"] in BODY_METHODS and "expect" not in Headers(scope=scope)


def _range_problem(status: int, content_range: str | None) -> InvalidRequest:
    if status == RangeNotSatisfiable.STATUS:
        headers = {"Content-Range": content_range} if content_range else {}
        return RangeNotSatisfiable("The range lies outside of the file.", headers=headers)
    return InvalidRequest("The header `Range` makes no sense; send `bytes=FIRST-LAST`.")
