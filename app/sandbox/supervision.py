"""One guest from order to end: forks it, watches it, kills it when due, and never leaves before it is gone."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable

from app.sandbox import endings, procfs
from app.sandbox.channel import Errand, News
from app.sandbox.jobfolder import JobFolder
from app.sandbox.protocol import Limits, Outcome
from app.sandbox.warm import Ticket, WarmParent
from app.sandbox.watch import Watch

PATIENCE = 10.0
"""Seconds that the zygote may take to fork a guest, or to report the end of a killed one, before it counts as stuck."""

OnProgress = Callable[[str, float, str | None], None]
"""Called with a stage, the fraction done, and a note where the guest has one."""


class Supervision:
    """Use as a context: whatever is raised inside, the guest is gone afterwards. `waiting` is one that is there already
    and waits to begin.
    """

    def __init__(self, parent: WarmParent, folder: JobFolder, limits: Limits, waiting: Ticket | None = None) -> None:
        self._parent, self._folder, self._limits = parent, folder, limits
        self._ticket = self._waiting = waiting
        self._ended = waiting is None
        self.kernel_killed = False
        self.peak = 0
        self.seconds = 0.0

    def __enter__(self) -> Supervision:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ticket is not None:
            if not self._ended:
                self._kill(self._ticket)
            self._parent.forget(self._ticket)

    def run(self, errand: Errand, on_progress: OnProgress, should_stop: Callable[[], bool]) -> Outcome | int:
        """Wait for the guest's end: its wait status where it ended by itself, else why it was ended."""
        kills_before = procfs.kernel_oom_kills()
        if self._waiting is not None:
            ticket = self._waiting
            self._parent.begin(ticket)
        else:
            ticket = self._ticket = self._parent.fork(errand, str(self._folder.path), self._limits)
            self._ended = False
            if (lost := self._not_started(ticket)) is not None:
                return lost
        # The first guest tries to start a process, and is to tell of it where it can.
        watch = Watch(ticket.pid, self._folder, self._limits, should_stop, alone=errand != "rehearse")
        result = self._attend(ticket, watch, on_progress)
        self.peak, self.seconds = watch.peak, watch.seconds
        self.kernel_killed = procfs.kernel_oom_kills() > kills_before
        return result

    def _not_started(self, ticket: Ticket) -> Outcome | None:
        """Wait for the fork; None where the guest lives."""
        started = _next(ticket, PATIENCE)
        if started is None or not self._parent.alive:
            return self._lost()
        if started.event == "failed":
            self._ended = True
            return endings.helper_gone()
        return None

    def _attend(self, ticket: Ticket, watch: Watch, on_progress: OnProgress) -> Outcome | int:
        while True:
            news = _next(ticket, watch.pause)
            for line in self._folder.new_progress():
                on_progress(line.stage, line.fraction, line.note)
            if news is None:
                if (ending := watch.look()) is not None:
                    self._kill(ticket)
                    return ending
            elif news.event == "ended":
                self._ended = True
                return news.status
            else:
                return self._lost()

    def _kill(self, ticket: Ticket) -> None:
        self._parent.kill(ticket)
        news = _next(ticket, PATIENCE)
        if news is None:
            self._lost()
        self._ended = True

    def _lost(self) -> Outcome:
        """The zygote is dead or stuck; its end takes every guest with it. Wait for ours."""
        self._parent.close()
        self._ended = True
        deadline = time.monotonic() + PATIENCE
        while self._ticket is not None and _exists(self._ticket.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        return endings.helper_gone()


def _next(ticket: Ticket, seconds: float) -> News | None:
    try:
        return ticket.news.get(timeout=seconds)
    except queue.Empty:
        return None


def _exists(pid: int) -> bool:
    return pid > 0 and os.path.exists(f"/proc/{pid}")
