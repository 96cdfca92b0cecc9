"""The bell that a worker's queue threads listen to between two looks into the database."""

from __future__ import annotations

import threading
from pathlib import Path

from app.bells import Bell, hang

LISTENING_SECONDS = 3600.0


class Doorbell:
    """Rung by whoever on this host puts a job into the queue, and by the worker itself when it has room again."""

    def __init__(self, folder: Path) -> None:
        self._changed = threading.Condition()
        self._rings = 0
        self._bell = hang(folder, "jobs")
        if self._bell is not None:
            threading.Thread(target=self._listen, args=(self._bell,), name="doorbell", daemon=True).start()

    def ring(self) -> None:
        """Have every thread look now; one that is looking already looks again."""
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def cutting_short(self, stop: threading.Event) -> threading.Event:
        """`stop` as one thread waits for it: a ring since its last wait began ends the wait, too."""
        return _Pause(self, stop)

    def retire(self) -> None:
        """Be heard of no more by others, and let everyone look up."""
        if self._bell is not None:
            self._bell.retire()
        self.ring()

    def heard_beyond(self, heard: int, seconds: float) -> int:
        """Wait until it has rung more often than `heard` times, or so long; how often it has rung."""
        with self._changed:
            self._changed.wait_for(lambda: self._rings != heard, seconds)
            return self._rings

    def _listen(self, bell: Bell) -> None:
        while True:
            if bell.wait(LISTENING_SECONDS):
                self.ring()


class _Pause(threading.Event):
    """One thread's view of the event that stops it."""

    def __init__(self, doorbell: Doorbell, stop: threading.Event) -> None:
        super().__init__()
        self._doorbell, self._stop, self._heard = doorbell, stop, 0

    def is_set(self) -> bool:
        return self._stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        self._heard = self._doorbell.heard_beyond(self._heard, timeout or 0.0)
        return self._stop.is_set()
