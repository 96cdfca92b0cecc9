"""A sandbox whose guests misbehave, and a way to run one of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.sandbox.host import Sandbox
from app.sandbox.protocol import Limits, Outcome, Task
from app.sandbox.spares import Spare

ENTRY = Path(__file__).with_name("hostile_zygote.py")
BARE = Path(__file__).with_name("bare_zygote.py")
MEGABYTE = 1 << 20


class HostileSandbox(Sandbox):
    """The sandbox as shipped, with a zygote whose guests run payloads."""

    def _command(self) -> list[str]:
        return [self._python, str(ENTRY)]


class BareSandbox(HostileSandbox):
    """The same without TensorFlow, started in a moment, and without some of the steps into the cage.

    `without` are left out; `pretended` say that they hold and do nothing.
    """

    def __init__(self, *, without: Sequence[str] = (), pretended: Sequence[str] = (), **options: Any) -> None:
        super().__init__(**options)
        self._steps = [*(f"-{name}" for name in without), *(f"~{name}" for name in pretended)]

    def _command(self) -> list[str]:
        return [self._python, str(BARE), *self._steps]


@dataclass
class Run:
    """A payload's run: its folder, its outcome, the progress that was reported."""

    sandbox: Sandbox
    folder: Path
    payload: str
    limits: Limits
    progress: list[tuple[str, float]] = field(default_factory=list)
    outcome: Outcome | None = None
    seed: int = 0

    def __call__(self, should_stop: Callable[[], bool] = lambda: False) -> Outcome:
        uploads = self.folder / "in"
        uploads.mkdir(parents=True, exist_ok=True)
        (uploads / "model.keras").write_bytes(b"not a model")
        (uploads / "batch.npz").write_bytes(b"not a batch")
        task = Task(
            diagnosis_id="d-1", model_file="model.keras", batch_file="batch.npz", loss=self.payload, seed=self.seed
        )
        self.outcome = self.sandbox.run(
            self.folder,
            task,
            self.limits,
            on_progress=lambda stage, fraction, _: self.progress.append((stage, fraction)),
            should_stop=should_stop,
        )
        return self.outcome

    def in_background(self, should_stop: Callable[[], bool] = lambda: False) -> threading.Thread:
        thread = threading.Thread(target=self, args=(should_stop,))
        thread.start()
        return thread


def waiting(sandbox: Sandbox, seconds: float = 60) -> Spare:
    """The guest that waits, warm."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        spare = sandbox.spare
        if spare is not None and spare.is_ready:
            return spare
        time.sleep(0.05)
    raise AssertionError(f"no guest waits: {spare and spare.last_words()}")
