"""The connection itself, below the application: what a client may send before there is a request, and for how long.

uvicorn's h11 protocol refuses what is ambiguous (two lengths, no host, raw control characters) and bounds a request's
head. Added here: a head must be there in time, a connection that does nothing is closed, an answer that nobody reads
is given up, there are only so many connections, and what is refused here is a problem like everywhere else.
httptools, the faster parser, bounds neither the head nor its time: one header of 64 MB kept it busy for 18 s.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio import TimerHandle
from http import HTTPStatus
from typing import Any

import h11
from h11._readers import ContentLengthReader
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.api.envelope import SECURITY_HEADERS
from app.errors import MEDIA_TYPE, InvalidRequest, Problem, QueueFull
from app.settings import Settings

WAITS_FOR_ANSWER = (h11.IDLE, h11.SEND_RESPONSE)
"""States in which an answer can still be written: later, part of one is out already."""


class BoundedProtocol(H11Protocol):
    """One connection, bounded in time and in number."""

    def __init__(self, config: Config, *others: Any, **named: Any) -> None:
        super().__init__(config, *others, **named)
        self._settings: Settings = config.app.state.settings  # type: ignore[union-attr]  # ours, see app.web
        self._patience: TimerHandle | None = None
        self._stall: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._settings.connection_limit:
            self._refuse(_as_busy())
            return
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._is_inside_of_body(data):
            self._take_body(data)
        else:
            super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif not self.transport.is_closing():
            self._wait_for_head()  # once: a byte now and then does not buy more time

    def _is_inside_of_body(self, data: bytes) -> bool:
        """Whether all of this belongs to a body of a length that was told, of which h11 has seen the beginning and will
        see the end. It has nothing to say to what lies between, but copies it four times.
        """
        reader = self.conn._reader
        return (
            isinstance(reader, ContentLengthReader)
            and self.cycle is not None
            and self.conn.their_state is h11.SEND_BODY
            and self.conn.our_state is not h11.DONE
            and not self.conn.trailing_data[0]
            and len(data) < reader._remaining < reader._length
        )

    def _take_body(self, data: bytes) -> None:
        """What uvicorn does with a piece of a body that h11 hands on."""
        reader, cycle = self.conn._reader, self.cycle
        assert isinstance(reader, ContentLengthReader)
        reader._remaining -= len(data)
        cycle.body = cycle.body + data if cycle.body else data  # type: ignore[assignment]  # bytes go on without a copy
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn while it handles h11's error, which knows whether the head was too long."""
        hint = getattr(sys.exception(), "error_status_hint", HTTPStatus.BAD_REQUEST)
        self._refuse(_as_problem(hint, self._settings))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self._stall or self.loop.call_later(self._settings.send_stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _wait_for_head(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(self._settings.head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()

    def _forget_timers(self) -> None:
        self._stop_waiting()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _refuse(self, problem: Problem) -> None:
        """Write a whole answer and close. h11 is not asked: after an error it has no more to say."""
        if self.conn.our_state in WAITS_FOR_ANSWER and (self.cycle is None or not self.cycle.response_started):
            self.transport.write(_answer(problem))
        self.transport.close()


def _as_busy() -> Problem:
    return QueueFull("The server has as many connections as it takes. Try again later.", headers={"Retry-After": "10"})


def _as_problem(hint: int, settings: Settings) -> Problem:
    if hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        return HeadTooLarge(
            f"The request's address and headers, or a chunk's, are larger than {settings.head_limit_bytes} bytes."
        )
    return NotHttp("This is not a well-formed HTTP/1.1 request.")


class NotHttp(InvalidRequest):
    """What came is not a request."""

    @property
    def status(self) -> int:
        return HTTPStatus.BAD_REQUEST


class HeadTooLarge(InvalidRequest):
    """The request's first line and headers are too long."""

    @property
    def status(self) -> int:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


def _answer(problem: Problem) -> bytes:
    body = json.dumps(problem.document()).encode()
    status = HTTPStatus(problem.status)
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        **SECURITY_HEADERS,
        **problem.headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode() + body
