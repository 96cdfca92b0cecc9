"""Runs an attack in the real cage, with nothing before it that would refuse it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from app.sandbox.host import Sandbox
from app.sandbox.protocol import Limits, Outcome, Task
from tests.attacks import kit
from tests.attacks.kit import Upload

ENTRY = Path(__file__).with_name("zygote_entry.py")
SAID, LOG = "said: ", "guest.log"
MEGABYTE = 1 << 20

MEMORY_LIMIT_BYTES = 1_000_000_000
LIMITS = Limits(
    memory_bytes=MEMORY_LIMIT_BYTES, wall_seconds=60, output_bytes=64 * MEGABYTE, cpu_seconds=120, threads=1
)
ENDED_BY = {
    "out_of_memory": kit.MEMORY,
    "deadline_exceeded": kit.TIME,
    "payload_too_large": kit.OUTPUT,
    "model_unsafe": kit.CALLS,
}
"""What ended a guest that could not say so itself, by the code of the outcome."""

SAYS = (
    (re.compile(r"[Oo]peration not permitted"), kit.CALLS),
    (re.compile(r"[Pp]ermission ?[Dd]enied|No such file|\bNotFoundError|cross-device link"), kit.FILES),
    (re.compile(r"MemoryError|ResourceExhausted|[Uu]nable to allocate|malloc of size"), kit.MEMORY),
    (re.compile(r"File too large|No space left"), kit.OUTPUT),
)
"""What stopped it, by what libraries say where the kernel refuses."""


class AttackedSandbox(Sandbox):
    """The sandbox as shipped, with a zygote whose guests open files as if they trusted them."""

    def _command(self) -> list[str]:
        return [self._python, str(ENTRY)]


@dataclass(frozen=True)
class Ending:
    """How an attack ended in the cage: what the host says, and what the guest said last, if it could."""

    outcome: Outcome
    ended: str
    read: str

    @property
    def layer(self) -> str:
        """What stopped it, in the words of the kit."""
        if not self.ended:
            return ENDED_BY.get(str(self.outcome.code), kit.LIBRARY)
        if self.ended == "ran":
            return kit.NOTHING
        return next((layer for pattern, layer in SAYS if pattern.search(self.read)), kit.LIBRARY)


def run(sandbox: Sandbox, folder: Path, upload: Upload, good: Upload, loader: str, *, seconds: float) -> Ending:
    """Have a guest open the upload, with what is missing taken from the good one."""
    task = stage(folder, upload, good).model_copy(update={"loss": loader})
    limits = LIMITS.model_copy(update={"wall_seconds": seconds})
    outcome = sandbox.run(folder, task, limits, on_progress=lambda *_: None, should_stop=lambda: False)
    told = said((folder / "out" / LOG).read_bytes()) if (folder / "out" / LOG).is_file() else {}
    return Ending(outcome, told.get("ended", ""), told.get("read", ""))


def stage(folder: Path, upload: Upload, good: Upload) -> Task:
    """Put an upload where a guest finds it."""
    (folder / "in").mkdir(parents=True)
    model, batch = upload.model or good.model or b"", upload.batch or good.batch or b""
    (folder / "in" / upload.model_name).write_bytes(model)
    (folder / "in" / upload.batch_name).write_bytes(batch)
    return Task(diagnosis_id="a-1", model_file=upload.model_name, batch_file=upload.batch_name)


def said(log: bytes) -> dict[str, str]:
    """The line in which an errand tells what came of it; {} where it did not get that far."""
    lines = [line for line in log.decode(errors="replace").splitlines() if line.startswith(SAID)]
    told: dict[str, str] = json.loads(lines[-1].removeprefix(SAID)) if lines else {}
    return told
