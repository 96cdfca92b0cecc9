"""The slots of one worker: a share of a device each. What is free, what is taken, which device is in doubt.

A slot is given away when a run is taken from its queue, in the same breath, so that a worker never takes what it has no
room for. A device in doubt gives none of its slots away until it has been looked at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from app.jobs.engine import Run
from app.jobs.needs import PLACES
from app.worker.devices import Device

State = Literal["ready", "checking", "withdrawn"]
BEGIN_SECONDS = 60.0
"""A run that was taken and has not begun by then never will, since the queue failed to start it: its slot is free."""
YIELDS = 3
"""How often a queue lets another one go first that has the job which is next in line: some tenths of a second. Not
without end: that job's run may have been lost with a worker that nobody has missed yet.
"""


@dataclass
class _Slot:
    device: Device
    run: Run | None = None
    taken_s: float = 0.0
    begun: bool = False


class Slots:
    """All slots. `next_queue` says which of some queues has the job that is first in line."""

    def __init__(self, devices: list[Device], next_queue: Callable[[Collection[str]], str | None]) -> None:
        self._slots = [_Slot(device) for device in devices for _ in range(device.shares)]
        self._doubts: dict[str, tuple[State, str]] = {}
        self._next_queue = next_queue
        self._lock = threading.RLock()
        self._seen: set[str] = set()
        self._yields: dict[str, int] = {}
        self.devices = devices

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Held while runs are taken, by one thread at a time."""
        with self._lock:
            yield

    def free(self, queue: str) -> int:
        """How many runs of this queue may be taken now."""
        self._seen.add(queue)
        count = len(self._free(queue))
        return count if count and self._goes_first(queue) else 0

    def _goes_first(self, queue: str) -> bool:
        rivals = [name for name in self._seen if self._free(name)]
        if len(rivals) > 1 and self._yields.get(queue, 0) < YIELDS and self._next_queue(rivals) not in (queue, None):
            self._yields[queue] = self._yields.get(queue, 0) + 1
            return False
        self._yields[queue] = 0
        return True

    def _free(self, queue: str) -> list[_Slot]:
        """Those that jobs of this queue may have: a job that needs no GPU takes the processor before one."""
        self._drop_stale()
        needs_gpu = queue in PLACES and PLACES[queue].gpu
        free = [slot for slot in self._slots if slot.run is None and self.state_of(slot.device)[0] == "ready"]
        return sorted((s for s in free if s.device.is_gpu or not needs_gpu), key=lambda slot: slot.device.is_gpu)

    def _drop_stale(self) -> None:
        now_s = time.monotonic()
        for slot in self._slots:
            if slot.run is not None and not slot.begun and now_s - slot.taken_s > BEGIN_SECONDS:
                slot.run = None

    def take(self, runs: Collection[Run], queue: str) -> None:
        """Give a slot to each of these runs."""
        for run, slot in zip(runs, self._free(queue), strict=False):
            slot.run, slot.taken_s, slot.begun = run, time.monotonic(), False

    @contextmanager
    def held(self, run: Run) -> Iterator[Device | None]:
        """The device of a run that was taken, for as long as it runs; None where it came too late for its slot."""
        with self._lock:
            mine = next((slot for slot in self._slots if slot.run == run), None)
            if mine is not None:
                mine.begun = True
        try:
            yield mine.device if mine is not None else None
        finally:
            if mine is not None:
                with self._lock:
                    mine.run = None

    def add(self, device: Device) -> None:
        """One more device, while nothing runs yet."""
        self.devices = [*self.devices, device]
        self._slots += [_Slot(device) for _ in range(device.shares)]

    def state_of(self, device: Device) -> tuple[State, str]:
        """How a device is, and why if it is not well."""
        return self._doubts.get(device.name, ("ready", ""))

    def mark(self, device: Device, state: State, reason: str = "") -> None:
        """Put a device into doubt, withdraw it, or take it back."""
        with self._lock:
            if state == "ready":
                self._doubts.pop(device.name, None)
            else:
                self._doubts[device.name] = (state, reason)

    @property
    def usable(self) -> int:
        """Jobs that can run at a time."""
        return sum(self.state_of(slot.device)[0] != "withdrawn" for slot in self._slots)

    def described(self) -> list[dict[str, Any]]:
        """The devices for whoever asks what this worker can do."""
        return [self._describe(device) for device in self.devices]

    def _describe(self, device: Device) -> dict[str, Any]:
        state, reason = self.state_of(device)
        found: dict[str, Any] = {"name": device.name, "kind": "gpu" if device.is_gpu else "cpu"}
        found |= {"slots": device.shares, "state": state, "reason": reason or None}
        if device.is_gpu:
            found |= {"class": device.model, "memory_bytes": device.memory_bytes or None}
            found |= {"memory_per_guest_bytes": device.share_bytes or None}
        return found
