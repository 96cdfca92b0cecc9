"""What host and guest agree on: the job's folder, the task, the outcome. Plain JSON on both ways; nothing is unpickled.

A job folder holds the uploads in `in/`. `Sandbox.run` adds `task.json`, `scratch/` (removed at the end) and `out/`,
where the guest writes `progress.jsonl` (a line per stage), `report.json` or `error.json` (each by rename),
`guest.log` (for the operator) and `repaired` with the upload's suffix. When the guest is gone, the host checks what
it wrote, writes `out/report.json` anew from what it could validate, and moves the repaired model to the name given in
`Outcome.repaired_file`.
"""

from __future__ import annotations

import os
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

UNCAGED = 69
"""A guest's exit status where it could not lock itself in, and so has not touched the upload."""

HIDDEN = {"CUDA_VISIBLE_DEVICES": "-1"}
"""What a parent's environment says of GPUs: there are none. A guest puts its own in the place of it."""

COLD = "--cold"
"""How a parent is told to import nothing: each of its guests does, after the fork. For GPUs that cannot be used once a
library was forked."""

BEGIN = b"b"
"""What a guest that waits reads from its standard input when its task and its uploads are there."""

DEVICE_FAULT, DEVICE_MEMORY = "device_fault", "device_memory"
"""Codes that a guest gives where its GPU went wrong, or has no memory left for it. No codes of the public contract."""

MOST_THREADS = 256 + 32 * (os.cpu_count() or 1)
"""Threads of a guest that are taken for TensorFlow's. It keeps a few pools of one for each core: 31 on two cores."""

NOTE = r"^[ -~]{1,160}$"
"""A note beside the progress: a line of plain ASCII, since it comes from the guest and may quote a stranger's file."""

Limit = Literal[
    "memory",
    "machine_memory",
    "device_memory",
    "wall_time",
    "cpu_time",
    "output",
    "disk",
    "processes",
    "threads",
    "calls",
]
"""What a run ran into, where it was ended for that."""

OutcomeKind = Literal["succeeded", "refused", "timed_out", "out_of_memory", "crashed", "cancelled"]


class Task(BaseModel):
    """One diagnosis to run. File names are plain names inside the job folder's `in/`; their suffixes tell the
    formats. `sha256` are the hashes of model and batch where they are known already.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    diagnosis_id: str
    model_file: str
    batch_file: str
    sha256: tuple[str, str] | None = None
    batch_size: int | None = None
    loss: str | None = None
    metrics: str | None = None
    reported: dict[str, float] | None = None
    seed: int = 0
    label_column: str | None = None


class GuestDevice(BaseModel):
    """The GPU that a guest may use: what `CUDA_VISIBLE_DEVICES` says there, and how much of its memory it may take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    visible: str
    memory_bytes: int | None = None


class Limits(BaseModel):
    """What a guest may use up.

    `memory_bytes` bounds the anonymous memory of the guest, some 250 MB of which it shares with its warm parent.
    `output_bytes` bounds everything it writes, the repaired model and scratch files included, so it has to exceed the
    size of the uploaded model. `threads` 0 leaves the number to TensorFlow. Without a `device` there is no GPU for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory_bytes: int
    wall_seconds: float
    output_bytes: int
    cpu_seconds: float
    threads: int = 0
    device: GuestDevice | None = None


class ProgressLine(BaseModel):
    """One line of `progress.jsonl`. Narrow, because it comes from the guest and goes on to pages and event streams."""

    model_config = ConfigDict(extra="forbid", strict=True)

    stage: str = Field(pattern=r"^[a-z][a-z0-9_ -]{0,31}$")
    fraction: float = Field(ge=0, le=1)
    note: str | None = Field(default=None, pattern=NOTE)


class GuestError(BaseModel):
    """What the guest says where the input is at fault. `code` is a problem code of the public contract."""

    model_config = ConfigDict(extra="forbid", strict=True)

    code: str
    detail: str = Field(max_length=4000)


class Outcome(BaseModel):
    """How a run ended.

    Unless it succeeded, `detail` is for the model's owner and `code` is a problem code of the public contract (none
    where the run was cancelled: whoever cancelled knows). A run is worth repeating only where `kind` is `crashed` and
    `code` is `worker_crashed`. `limit`, for the operator, is what it ran into. `repaired_file` is relative to the job
    folder. After a `device_fault` the GPU that the guest had must be tried before another gets it.
    """

    model_config = ConfigDict(extra="forbid")

    kind: OutcomeKind
    code: str | None = None
    detail: str | None = None
    limit: Limit | None = None
    repaired_file: str | None = None
    peak_memory_bytes: int | None = None
    seconds: float = 0.0
    device_fault: bool = False
