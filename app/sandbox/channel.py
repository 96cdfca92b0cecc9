"""What host and zygote say to each other: one JSON line per message over a socket pair.

Only these two hold an end of it: a guest closes its copy before it does anything else.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from app.sandbox.protocol import Limits

Errand = Literal["diagnose", "rehearse", "try_device"]


class Order(BaseModel):
    """Host to zygote: fork a guest for a job, let one that waits begin, or kill the one that has it.

    With `waits` the guest gets warm first and waits for `begin`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    op: Literal["fork", "begin", "kill"]
    job: int
    errand: Errand = "diagnose"
    folder: str = ""
    limits: Limits | None = None
    uid: int = 0
    promised: tuple[str, ...] = ()
    waits: bool = False


class News(BaseModel):
    """Zygote to host. `status` is a wait status; `reason` is for the operator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: Literal["ready", "failed", "started", "ended"]
    job: int = 0
    pid: int = 0
    status: int = 0
    reason: str = ""


class Channel:
    """One end of the socket pair. Sending is thread-safe; receiving is for one thread."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._sending = threading.Lock()
        self._rest = b""

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._end.fileno()

    def send(self, message: BaseModel) -> None:
        """Send one message; `OSError` where the other end is gone."""
        with self._sending:
            self._end.sendall(message.model_dump_json().encode() + b"\n")

    def receive(self) -> list[bytes] | None:
        """The whole lines that have come, waiting for at least some bytes; None at the end of the conversation."""
        try:
            data = self._end.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    def __iter__(self) -> Iterator[bytes]:
        """All lines until the other end is gone."""
        while (lines := self.receive()) is not None:
            yield from lines

    def close(self) -> None:
        """Hang up: the other end, and any thread receiving on this one, sees the end of the conversation."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()
