"""Waiting for jobs to end: one query for all that wait, however many they are."""

from __future__ import annotations

import asyncio
import contextvars
from contextlib import suppress
from pathlib import Path

import structlog

from app.bells import Bell, hang
from app.jobs.store import JobStore

log = structlog.get_logger(__name__)


class EndWatch:
    """Wakes up who waits for a job to end. `stop` wakes everyone, so that a server that shuts down answers at once.

    It looks into the database every `poll_seconds` while somebody waits, and when a process that shares the folder of
    `bells` has ended a job.
    """

    def __init__(self, store: JobStore, poll_seconds: float, bells: Path) -> None:
        self._store = store
        self._poll_seconds = poll_seconds
        self._waiting: dict[str, list[asyncio.Event]] = {}
        self._loop: asyncio.Task[None] | None = None
        self._event_loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self.stopping = asyncio.Event()
        self._bell = hang(bells, "ends")
        if self._bell is not None:
            self._event_loop.add_reader(self._bell, self._hear, self._bell)

    async def ended(self, diagnosis_id: str, seconds: float) -> bool:
        """Wait up to so many seconds; whether the job has ended (or is gone)."""
        if seconds <= 0 or self.stopping.is_set():
            return False
        bell = asyncio.Event()
        self._waiting.setdefault(diagnosis_id, []).append(bell)
        if self._loop is None or self._loop.done():
            # In a context of its own: it looks for all who wait, not for the caller that happened to start it.
            self._loop = asyncio.create_task(self._poll(), context=contextvars.Context())
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(bell.wait(), seconds)
            return bell.is_set() and not self.stopping.is_set()
        finally:
            self._forget(diagnosis_id, bell)

    def stop(self) -> None:
        self.stopping.set()
        self._look_up()
        for bells in self._waiting.values():
            for bell in bells:
                bell.set()

    def stop_soon(self) -> None:
        """`stop`, from a signal handler."""
        self._event_loop.call_soon_threadsafe(self.stop)

    def close(self) -> None:
        """Listen no more."""
        if self._bell is not None:
            self._event_loop.remove_reader(self._bell)
            self._bell.close()
            self._bell = None

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not through news or a shutdown."""
        if not self.stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), seconds)

    def _hear(self, bell: Bell) -> None:
        bell.hush()
        self._look_up()

    def _look_up(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _forget(self, diagnosis_id: str, bell: asyncio.Event) -> None:
        bells = self._waiting.get(diagnosis_id, [])
        if bell in bells:
            bells.remove(bell)
        if not bells:
            self._waiting.pop(diagnosis_id, None)

    async def _poll(self) -> None:
        while self._waiting and not self.stopping.is_set():
            await self._pause(self._poll_seconds)
            try:
                ended = await asyncio.to_thread(self._store.ended_among, list(self._waiting))
            except Exception:
                log.exception("watch_failed")  # the next round tries again; waiting requests time out into 202
                continue
            for diagnosis_id in ended:
                for bell in self._waiting.get(diagnosis_id, []):
                    bell.set()
