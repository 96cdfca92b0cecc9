"""Looking after one running guest from outside: its memory, its time, what it writes, whether it stays alone."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.sandbox import endings, procfs
from app.sandbox.jobfolder import JobFolder
from app.sandbox.protocol import MOST_THREADS, Limits, Outcome

# A guest that allocates as fast as it can gains some 20 MB between two close looks; far from its limit that is no
# danger.
CLOSE, FAR = 0.01, 0.05
ROUND = 0.25


class Watch:
    """Call `look` again and again, `pause` seconds apart; it says when and why the guest must be killed.

    `alone` is whether the guest may have no child processes.
    """

    def __init__(
        self, pid: int, folder: JobFolder, limits: Limits, should_stop: Callable[[], bool], *, alone: bool = True
    ) -> None:
        self._pid, self._folder, self._limits, self._should_stop = pid, folder, limits, should_stop
        self._alone = alone
        self._began = self._rounds_began = time.monotonic()
        self.peak = 0
        self.pause = CLOSE

    @property
    def seconds(self) -> float:
        """How long the guest has been watched."""
        return time.monotonic() - self._began

    def look(self) -> Outcome | None:
        """The ending that is due, or None where all is well. Memory every time, what costs more only every round."""
        used = procfs.memory(self._pid)
        self.peak = max(self.peak, used)
        self.pause = CLOSE if used > self._limits.memory_bytes // 2 else FAR
        if used > self._limits.memory_bytes:
            return endings.out_of_memory(self._limits.memory_bytes)
        if self.seconds > self._limits.wall_seconds:
            return endings.timed_out(self._limits.wall_seconds)
        if time.monotonic() - self._rounds_began >= ROUND:
            self._rounds_began = time.monotonic()
            return self._round()
        return None

    def _round(self) -> Outcome | None:
        if self._should_stop():
            return endings.cancelled()
        if procfs.threads(self._pid) > MOST_THREADS:
            return endings.too_many_threads(MOST_THREADS)
        if self._alone and procfs.descendants(self._pid):
            return endings.started_programs()
        if self._folder.output_bytes() > self._limits.output_bytes:
            return endings.too_much_output(self._limits.output_bytes)
        return None
