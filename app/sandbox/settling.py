"""From how a guest ended and what it left to one outcome. Believes nothing that it has not checked."""

from __future__ import annotations

import os
import signal

from analyzers import errors
from analyzers.report import Report
from app.sandbox import endings
from app.sandbox.jobfolder import ERROR, REPORT, JobFolder
from app.sandbox.protocol import DEVICE_FAULT, DEVICE_MEMORY, UNCAGED, GuestError, Limits, Outcome

MOST_REPORT = 16 << 20
MOST_ERROR = 1 << 16


def _codes(of: type[errors.AnalysisError]) -> set[str]:
    return {of.code}.union(*(_codes(leaf) for leaf in of.__subclasses__()))


INPUT_AT_FAULT = _codes(errors.AnalysisError) - {"internal", "out_of_memory"}
"""The codes with which a guest may refuse its input: those of the analysis's error tree."""


def settle(status: int, folder: JobFolder, limits: Limits, isolation: str, kernel_killed: bool) -> Outcome:
    """The outcome of a guest that ended by itself, with this wait status."""
    if os.WIFSIGNALED(status):
        return _killed(os.WTERMSIG(status), limits, kernel_killed)
    if os.WEXITSTATUS(status) == UNCAGED:
        return endings.helper_gone()
    if (said := folder.read(ERROR, MOST_ERROR)) is not None:
        return _error(said, limits)
    if (said := folder.read(REPORT, min(MOST_REPORT, limits.output_bytes))) is not None:
        return _report(said, folder, limits, isolation)
    return endings.no_report()


def _killed(number: int, limits: Limits, kernel_killed: bool) -> Outcome:
    if number == signal.SIGXCPU:
        return endings.cpu_used_up(limits.cpu_seconds)
    if number == signal.SIGSYS:
        return endings.forbidden_call()
    if number == signal.SIGXFSZ:
        return endings.too_much_output(limits.output_bytes)
    if number == signal.SIGKILL and kernel_killed:
        return endings.machine_out_of_memory()
    return endings.killed_by(number)


def _error(said: bytes, limits: Limits) -> Outcome:
    """What the guest says of itself. Only the words about its input are taken over; the rest we say ourselves."""
    try:
        error = GuestError.model_validate_json(said)
    except ValueError:
        return endings.unbelievable_report()
    if error.code in INPUT_AT_FAULT:
        return Outcome(kind="refused", code=error.code, detail=error.detail)
    if error.code == "out_of_memory":
        return endings.out_of_memory(limits.memory_bytes).model_copy(update={"detail": error.detail})
    ours = {
        DEVICE_FAULT: endings.device_fault(),
        DEVICE_MEMORY: endings.out_of_device_memory(),
        "insufficient_storage": endings.disk_full(),
        "payload_too_large": endings.too_much_output(limits.output_bytes),
    }
    return ours.get(error.code, endings.unexpected_error())


def _report(said: bytes, folder: JobFolder, limits: Limits, isolation: str) -> Outcome:
    try:
        report = Report.model_validate_json(said)
    except ValueError:
        return endings.unbelievable_report()
    promised = any(remedy.repaired_model for remedy in report.remedies)
    repaired = folder.take_repaired(limits.output_bytes) if promised else None
    if report.id != folder.task.diagnosis_id or promised != (repaired is not None):
        return endings.unbelievable_report()
    report.environment.isolation = isolation
    folder.write(REPORT, report.model_dump_json())
    return Outcome(kind="succeeded", repaired_file=repaired)
