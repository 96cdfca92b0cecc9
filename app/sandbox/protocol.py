"""What host and guest agree on: the job's folder, the task, the outcome. Plain JSON on both ways; nothing is unpickled.

A job folder holds `task.json`, the uploads in `in/` and, written by the guest, `out/`: `progress.jsonl` (a line per stage),
`report.json` or `error.json` (each by rename), and `repaired` (the repaired model) where there is one.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

OutcomeKind = Literal["succeeded", "refused", "timed_out", "out_of_memory", "crashed", "cancelled"]


class Task(BaseModel):
    """One diagnosis to run. File names are relative to the job folder."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    diagnosis_id: str
    model_file: str
    batch_file: str
    batch_size: int | None = None
    loss: str | None = None
    metrics: str | None = None
    reported: dict[str, float] | None = None
    seed: int = 0
    label_column: str | None = None


class Limits(BaseModel):
    """What a guest may use up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory_bytes: int
    wall_seconds: float
    output_bytes: int
    cpu_seconds: float
    threads: int = 0


class ProgressLine(BaseModel):
    """One line of `progress.jsonl`."""

    model_config = ConfigDict(extra="forbid")

    stage: str
    fraction: float


class GuestError(BaseModel):
    """What the guest says where the input is at fault. `code` is a problem code of the public contract."""

    model_config = ConfigDict(extra="forbid")

    code: str
    detail: str


class Outcome(BaseModel):
    """How a run ended. `code` and `detail` are set unless it succeeded."""

    model_config = ConfigDict(extra="forbid")

    kind: OutcomeKind
    code: str | None = None
    detail: str | None = None
    peak_memory_bytes: int | None = None
    seconds: float = 0.0
