"""How often a training may be looked at: never more than a share of the time that it has taken so far."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Kind = Literal["start", "look", "conclusion"]
LOOKS_TO_CONCLUDE = 5
"""What a conclusion is taken to cost before there was one."""


class Pace:
    """Keeps account of what looking has cost, in seconds, against what the training took."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._began_s = time.perf_counter()
        self.spent_s = 0.0
        self._dearest_s = {"start": 0.0, "look": 0.0, "conclusion": 0.0}

    @contextmanager
    def counted(self, kind: Kind) -> Iterator[None]:
        """Whatever is done inside is paid for, and tells what the same will cost again."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            took_s = time.perf_counter() - began_s
            self.spent_s += took_s
            # What was dearer than usual is remembered for a while, so that the account is rather too careful.
            self._dearest_s[kind] = max(took_s, 0.9 * self._dearest_s[kind])

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._began_s

    @property
    def cost(self) -> float:
        """The share of the time that looking has taken."""
        return self.spent_s / max(self.elapsed_s, 1e-9)

    def looks(self) -> int:
        """How many more looks are affordable now, and a conclusion from them."""
        look_s = max(self._dearest_s["look"], 1e-7)
        left_s = (
            self._share * self.elapsed_s - self.spent_s - (self._dearest_s["conclusion"] or LOOKS_TO_CONCLUDE * look_s)
        )
        return max(0, int(left_s / look_s))
