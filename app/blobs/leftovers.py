"""What is still to be removed from a store: a note for each on this machine's disk, so that it outlives the process.

    <root>/leftovers/<diagnosis>            everything of a diagnosis
    <root>/leftovers/<diagnosis>.<attempt>  the outputs of one run

A note's time of change says from when on it may be acted upon.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path


class Leftovers:
    """The notes of all processes on this machine."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "leftovers"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def note(self, name: str, after_s: float = 0.0) -> None:
        """Remember to remove this, in so many seconds at the earliest."""
        path, due_s = self._folder / name, time.time() + after_s
        with suppress(OSError):  # a full disk: then the lists of the bucket will find it
            path.touch(mode=0o600)
            os.utime(path, (due_s, due_s))

    def clear(self, name: str) -> None:
        """It is done, or not wanted any more."""
        (self._folder / name).unlink(missing_ok=True)

    def due(self) -> list[str]:
        """What may be removed now."""
        now_s = time.time()
        found = []
        for path in self._folder.iterdir():
            try:
                if path.stat().st_mtime <= now_s:
                    found.append(path.name)
            except FileNotFoundError:
                continue  # another process has just done it
        return sorted(found)
