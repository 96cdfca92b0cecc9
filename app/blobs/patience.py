"""How long a store that fails is asked again, and when it counts as away.

Each step is tried again with growing pauses, within a bound. A store that outlasted the bound is *away*: until it
answers, one caller a second tries, once, and everybody else is told at once, so that no thread waits for what will
not come.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from app.errors import StoreAway

Result = TypeVar("Result")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 3.0
LOOK_AGAIN_S = 1.0
"""How often a store that is away is tried."""

log = structlog.get_logger(__name__)


class Patience:
    """What this process knows of its store. `limit_s` bounds the tries of one step."""

    def __init__(self, limit_s: float, worth_another: Callable[[Exception], bool]) -> None:
        self._limit_s = limit_s
        self._worth_another = worth_another
        self._lock = threading.Lock()
        self._away_since_s: float | None = None
        self._next_look_s = 0.0
        self._answered_at_s: float | None = None
        self.leaving: Callable[[], bool] = lambda: False

    @property
    def is_away(self) -> bool:
        return self._away_since_s is not None

    def answered_within(self, seconds: float) -> bool:
        """Whether a step has succeeded lately, and none has given up since."""
        return not self.is_away and self._answered_at_s is not None and time.monotonic() - self._answered_at_s < seconds

    def persist(self, step: Callable[[], Result], limit_s: float | None = None) -> Result:
        """Do it, again and again if it fails.

        Raises:
            StoreAway: it failed for too long. Errors that another try would not mend come through as they are.
        """
        tries = _Tries(self, limit_s)
        while True:
            try:
                result = step()
            except Exception as error:
                time.sleep(tries.pause_after(error))
            else:
                self._note_answer()
                return result

    async def persist_async(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """The same for a coroutine."""
        tries = _Tries(self, None)
        while True:
            try:
                result = await step()
            except Exception as error:
                await asyncio.sleep(tries.pause_after(error))
            else:
                self._note_answer()
                return result

    def admit(self) -> bool:
        """Whether there may be more than one try. Raises StoreAway where there may be none."""
        with self._lock:
            if self._away_since_s is None:
                return True
            now_s = time.monotonic()
            if now_s < self._next_look_s:
                raise StoreAway
            self._next_look_s = now_s + LOOK_AGAIN_S
            return False

    def deadline_s(self, limit_s: float | None) -> float:
        return time.monotonic() + (self._limit_s if limit_s is None else limit_s)

    def is_vain(self, error: Exception, until_s: float, pause_s: float) -> bool:
        """Whether to give up now. Raises the error itself where it is an answer."""
        if not self._worth_another(error):
            self._note_answer()
            raise error
        return self.leaving() or time.monotonic() + pause_s >= until_s

    def give_up(self, error: Exception) -> StoreAway:
        with self._lock:
            if self._away_since_s is None:
                self._away_since_s = time.monotonic()
                log.error("store_away", reason=f"{type(error).__name__}: {error}"[:500])
            self._next_look_s = time.monotonic() + LOOK_AGAIN_S
        return StoreAway()

    def _note_answer(self) -> None:
        with self._lock:
            self._answered_at_s = time.monotonic()
            if self._away_since_s is not None:
                log.warning("store_back", away_s=round(self._answered_at_s - self._away_since_s, 1))
                self._away_since_s = None


class _Tries:
    """The tries of one step."""

    def __init__(self, patience: Patience, limit_s: float | None) -> None:
        self._patience = patience
        self._until_s = patience.deadline_s(limit_s) if patience.admit() else 0.0
        self._pause_s = FIRST_PAUSE_S

    def pause_after(self, error: Exception) -> float:
        """How long to wait before the next try; raises where there is none."""
        pause_s = self._pause_s * random.uniform(0.5, 1.5)  # noqa: S311 - spreads callers, keeps no secret
        if self._patience.is_vain(error, self._until_s, pause_s):
            raise self._patience.give_up(error) from error
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)
        return pause_s
