"""Inside: the life of a guest, from the fork to its end. The only module of the service that loads a model.

A guest locks itself in, does its errand, leaves one file, and ends without running anything that was registered for
the end.
"""

from __future__ import annotations

import errno
import faulthandler
import json
import os
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

import analyzers
from analyzers.errors import AnalysisError
from analyzers.report import Report
from app.sandbox import cage, endings, warming
from app.sandbox.device import is_fault, use_device, use_threads
from app.sandbox.jobfolder import ERROR, IN, LOG, PROGRESS, REPORT, TASK, repaired_name
from app.sandbox.protocol import DEVICE_FAULT, DEVICE_MEMORY, UNCAGED, GuestError, Task
from app.sandbox.room import Room, leave

LONGEST_LOG = 1 << 16
LONGEST_DETAIL = 4000


def live(room: Room, errand: Callable[[Room, list[str]], None]) -> NoReturn:
    """Be a guest. Exit status 0 means that there is a report or an error to read, nothing more."""
    status = UNCAGED
    try:
        held = cage.lock_in(room)
        status = os.EX_SOFTWARE
        faulthandler.enable(_open(room, LOG))
        if room.waits:
            warming.wait_warm(room)
        errand(room, held)
        status = os.EX_OK
    except BaseException as error:
        os.write(_open(room, LOG), traceback.format_exc()[-LONGEST_LOG:].encode(errors="replace"))
        if status != UNCAGED:
            leave(room, ERROR, _confession(error, room).model_dump_json())
            status = os.EX_OK
    finally:
        os._exit(status)


def diagnose(room: Room, held: list[str]) -> None:
    """The errand that guests exist for."""
    task = Task.model_validate_json((room.folder / TASK).read_bytes())
    use_device(room.limits.device)
    use_threads(room.limits.threads)
    progress = Progress(room)
    report = analyzers.diagnose_files(
        room.folder / IN / task.model_file,
        room.folder / IN / task.batch_file,
        repaired_path=room.out / repaired_name(task.model_file),
        batch_size=task.batch_size,
        loss=task.loss,
        metrics=task.metrics,
        reported=task.reported,
        seed=task.seed,
        label_column=task.label_column,
        memory_bytes=room.limits.memory_bytes,
        sha256=task.sha256,
        progress=progress,
        found=lambda line: progress("inspect", 0.0, line),
    )
    leave_report(room, report.model_copy(update={"id": task.diagnosis_id}))


def leave_report(room: Room, report: Report) -> None:
    """Leave the report for the host."""
    leave(room, REPORT, report.model_dump_json())


class Progress:
    """Appends a line for the host whenever a stage moves on."""

    def __init__(self, room: Room) -> None:
        self._file = _open(room, PROGRESS)

    def __call__(self, stage: str, fraction: float, note: str | None = None) -> None:
        line: dict[str, object] = {"stage": stage, "fraction": min(1.0, max(0.0, float(fraction)))}
        if note:
            line["note"] = note
        os.write(self._file, json.dumps(line).encode() + b"\n")


def _open(room: Room, name: str) -> int:
    return os.open(room.out / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _confession(error: BaseException, room: Room) -> GuestError:
    """What went wrong, as a problem code and words for the model's owner."""
    for cause in _causes(error):
        if room.limits.device is not None and is_fault(cause):
            return _as_error(endings.device_fault().detail, DEVICE_FAULT)
        if isinstance(cause, AnalysisError):
            return GuestError(code=cause.code, detail=str(cause)[:LONGEST_DETAIL])
        if room.limits.device is not None and type(cause).__name__ == "ResourceExhaustedError":
            return _as_error(endings.out_of_device_memory().detail, DEVICE_MEMORY)
        if isinstance(cause, MemoryError) or type(cause).__name__ == "ResourceExhaustedError":
            return _as_error(endings.out_of_memory(room.limits.memory_bytes).detail, "out_of_memory")
        if isinstance(cause, OSError) and cause.errno in (errno.EFBIG, errno.EDQUOT):
            return _as_error(endings.too_much_output(room.limits.output_bytes).detail, "payload_too_large")
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            return _as_error(endings.disk_full().detail, "insufficient_storage")
    return _as_error(endings.unexpected_error().detail, "internal")


def _as_error(detail: str | None, code: str) -> GuestError:
    return GuestError(code=code, detail=detail or "")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it: libraries wrap a lack of memory in errors of their own."""
    for _ in range(20):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
