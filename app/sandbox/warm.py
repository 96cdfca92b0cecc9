"""The host's handle on the zygote: starting it, ordering guests from it, hearing of their end, noticing its own.

A thread of its own starts the zygote and listens to it for as long as it lives. It must be the same thread: the
kernel counts a process's parent as gone when the *thread* that forked it ends, and the zygote has asked to die with
its parent.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from app.sandbox.channel import Channel, Errand, News, Order
from app.sandbox.protocol import Limits

START_SECONDS = 180.0


class SandboxUnavailable(Exception):  # noqa: N818 - says a state, not a slip
    """No guest can be run; the message is for the operator."""


class IsolationTooWeak(SandboxUnavailable):
    """Guests could be run, and would be held by less than the operator requires."""


@dataclass
class Ticket:
    """One guest as the host knows it.

    `news` gets `started`, then `ended`; or `failed`, where there was no fork or the zygote is gone.
    """

    job: int
    slot: int
    news: queue.SimpleQueue[News] = field(default_factory=queue.SimpleQueue)
    pid: int = 0


class WarmParent:
    """One life of the zygote process. `promised` are the layers that every guest must have."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], guest_uid_base: int = 0) -> None:
        self._command, self._environment = list(command), dict(environment)
        self._guest_uid_base = guest_uid_base
        self.promised: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._jobs = itertools.count(1)
        self._tickets: dict[int, Ticket] = {}
        self._ready = threading.Event()
        self._gone = threading.Event()
        self._failure = ""
        ours, theirs = socket.socketpair()
        self._channel, self._theirs = Channel(ours), theirs
        self._thread = threading.Thread(target=self._keep, name="zygote-keeper", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether guests can be ordered."""
        return self._ready.is_set() and not self._gone.is_set()

    def start(self) -> None:
        """Start the zygote and wait until it is warm."""
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            self.close()
            raise SandboxUnavailable(f"the zygote was not ready within {START_SECONDS:g} seconds")
        if self._gone.is_set():
            raise SandboxUnavailable(f"the zygote did not start: {self._failure}")

    def fork(self, errand: Errand, folder: str, limits: Limits, *, waits: bool = False) -> Ticket:
        """Order a guest; what becomes of it arrives at the ticket. One that `waits` gets warm until `begin`."""
        with self._lock:
            taken = {ticket.slot for ticket in self._tickets.values()}
            slot = next(number for number in itertools.count() if number not in taken)
            ticket = Ticket(next(self._jobs), slot)
            self._tickets[ticket.job] = ticket
        uid = self._guest_uid_base + slot if self._guest_uid_base else 0
        self._send(
            Order(
                op="fork",
                job=ticket.job,
                errand=errand,
                folder=folder,
                limits=limits,
                uid=uid,
                promised=self.promised,
                waits=waits,
            )
        )
        if self._gone.is_set():
            ticket.news.put(News(event="failed", job=ticket.job))
        return ticket

    def begin(self, ticket: Ticket) -> None:
        """Let a guest that waits do its errand."""
        self._send(Order(op="begin", job=ticket.job))

    def kill(self, ticket: Ticket) -> None:
        """Have the guest and everything it started killed; its `ended` follows."""
        self._send(Order(op="kill", job=ticket.job))

    def forget(self, ticket: Ticket) -> None:
        """Free the ticket's slot. Only when the guest is gone."""
        with self._lock:
            self._tickets.pop(ticket.job, None)

    def close(self) -> None:
        """Hang up; the zygote kills its guests and ends, and is killed if it does not."""
        self._channel.close()
        self._thread.join(timeout=10)

    def _send(self, order: Order) -> None:
        # Where the zygote is gone, the keeper tells every ticket.
        with contextlib.suppress(OSError):
            self._channel.send(order)

    def _keep(self) -> None:
        with tempfile.TemporaryFile() as complaints:
            try:
                process = self._spawn(complaints)
                for line in self._channel:
                    self._hear(News.model_validate_json(line))
                self._bury(process)
            except Exception as error:
                self._failure = self._failure or repr(error)
            finally:
                self._failure = self._failure or _tail(complaints)
                self._tell_all()

    def _spawn(self, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [*self._command, str(self._theirs.fileno()), str(os.getpid())]
        with self._theirs:
            return subprocess.Popen(
                command,
                env=self._environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                pass_fds=[self._theirs.fileno()],
                # Out of the terminal's reach: an interrupt is for the host to handle.
                start_new_session=True,
            )

    def _hear(self, news: News) -> None:
        if news.event == "ready":
            self._ready.set()
        elif (ticket := self._tickets.get(news.job)) is not None:
            ticket.pid = news.pid
            ticket.news.put(news)
        else:
            self._failure = news.reason

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # Guests die with the zygote by the kernel's hand, unless one managed to take that back.
        with self._lock:
            running = [ticket.pid for ticket in self._tickets.values() if ticket.pid]
        for pid in running:
            _kill_session(pid)

    def _tell_all(self) -> None:
        self._gone.set()
        self._ready.set()
        with self._lock:
            tickets = list(self._tickets.values())
        for ticket in tickets:
            ticket.news.put(News(event="failed", job=ticket.job))


def _kill_session(pid: int) -> None:
    """Kill a guest's process group if there still is one that it leads."""
    with contextlib.suppress(OSError):
        if os.getsid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)


def _tail(complaints: IO[bytes]) -> str:
    size = complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, size - 2000))
    return complaints.read().decode(errors="replace").strip() or "no reason given"
