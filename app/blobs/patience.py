"""How long a store that fails is asked again, and when it counts as away.

Each step is tried again with growing pauses, within a bound. A store that outlasted the bound is *away*: from then on
every step is told so at once, so that no thread waits for what will not come, until a look at the store, at most one a
second, finds it there again.
"""

from __future__ import annotations

import asyncio
import random
import re
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
"""How often a store that is away is looked at."""

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

    def persist(self, step: Callable[[], Result]) -> Result:
        """Do it, again and again if it fails.

        Raises:
            StoreAway: it failed for too long. Errors that another try would not mend come through as they are.
        """
        if self.is_away:
            raise StoreAway
        return self._try(step, _Tries(self, self._limit_s))

    def look(self, step: Callable[[], Result], limit_s: float) -> Result:
        """The same for a look whether the store is there; once it is away, one try at a time."""
        with self._lock:
            if self.is_away:
                if time.monotonic() < self._next_look_s:
                    raise StoreAway
                self._next_look_s, limit_s = time.monotonic() + LOOK_AGAIN_S, 0.0
        return self._try(step, _Tries(self, limit_s))

    def _try(self, step: Callable[[], Result], tries: _Tries) -> Result:
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
        if self.is_away:
            raise StoreAway
        tries = _Tries(self, self._limit_s)
        while True:
            try:
                result = await step()
            except Exception as error:
                await asyncio.sleep(tries.pause_after(error))
            else:
                self._note_answer()
                return result

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
                log.error("store_away", reason=f"{type(error).__name__}: {_in_short(error)}")
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

    def __init__(self, patience: Patience, limit_s: float) -> None:
        self._patience = patience
        self._until_s = time.monotonic() + limit_s
        self._pause_s = FIRST_PAUSE_S

    def pause_after(self, error: Exception) -> float:
        """How long to wait before the next try; raises where there is none."""
        pause_s = self._pause_s * random.uniform(0.5, 1.5)  # noqa: S311 - spreads callers, keeps no secret
        if self._patience.is_vain(error, self._until_s, pause_s):
            raise self._patience.give_up(error) from error
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)
        return pause_s


def _in_short(error: Exception) -> str:
    """What the store said, without obstore's own details, and without queries: Azure's may hold a signature."""
    return re.sub(r"\?\S*", "?...", str(error).partition("\n\nDebug source")[0])[:500]
