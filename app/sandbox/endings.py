"""Every way in which a run can end badly, with its code and its words for the owner of the model.

The words say what happened and what to change; they name no path, no program and no line of ours.
"""

from __future__ import annotations

import signal

from analyzers.wording import size
from app.sandbox.protocol import Limit, Outcome


def cancelled() -> Outcome:
    """Whoever asked for the diagnosis no longer wants it."""
    return Outcome(kind="cancelled", detail="The diagnosis was cancelled while it ran.")


def timed_out(seconds: float) -> Outcome:
    """The wall clock ran out."""
    return Outcome(
        kind="timed_out",
        code="deadline_exceeded",
        limit="wall_time",
        detail=f"The diagnosis took longer than the {seconds:g} seconds that it may take. Send fewer samples or "
        "smaller inputs; if the model itself contains a loop that does not end, it cannot be diagnosed.",
    )


def cpu_used_up(seconds: float) -> Outcome:
    """The processor time ran out."""
    return Outcome(
        kind="timed_out",
        code="deadline_exceeded",
        limit="cpu_time",
        detail=f"The diagnosis used more than the {seconds:g} seconds of processor time that it may use, summed over "
        "all cores. Send fewer samples or smaller inputs.",
    )


def out_of_memory(limit: int) -> Outcome:
    """The guest reached its own limit."""
    return Outcome(
        kind="out_of_memory",
        code="out_of_memory",
        limit="memory",
        detail=f"Model and batch together need more than the {size(limit)} of memory that a diagnosis may use. Send "
        "fewer samples, smaller inputs, or a smaller version of the model.",
    )


def out_of_device_memory() -> Outcome:
    """The guest's share of a GPU was not enough."""
    return Outcome(
        kind="out_of_memory",
        code="out_of_memory",
        limit="device_memory",
        detail="Model and batch together need more memory than a diagnosis may have on the GPU. Send fewer samples or "
        "smaller inputs, or ask for the processor with `device=cpu`.",
    )


def device_fault() -> Outcome:
    """The GPU went wrong under the guest: it is tried before it is used again, and the job runs again."""
    fault = _crashed(
        "The GPU that ran the diagnosis reported an error of its own. Send the model again, or ask for the processor "
        "with `device=cpu`."
    )
    return fault.model_copy(update={"device_fault": True})


def machine_out_of_memory() -> Outcome:
    """The kernel killed the guest because the machine or the container ran out, below the guest's own limit."""
    return Outcome(
        kind="out_of_memory",
        code="out_of_memory",
        limit="machine_memory",
        detail="The machine that ran the diagnosis had no memory left. Send fewer samples or a smaller version of the "
        "model, or try again when the service is less busy.",
    )


def too_much_output(limit: int) -> Outcome:
    """The guest wrote, or tried to write, more than it may."""
    return Outcome(
        kind="refused",
        code="payload_too_large",
        limit="output",
        detail=f"The diagnosis would have written more than the {size(limit)} that it may write, an unpacked batch and "
        "a repaired copy of the model included. Send fewer samples or a smaller version of the model.",
    )


def disk_full() -> Outcome:
    """The machine's disk is full: nobody's model is at fault."""
    return Outcome(
        kind="crashed",
        code="insufficient_storage",
        limit="disk",
        detail="The service has no disk space left to run the diagnosis. Try again later.",
    )


def started_programs() -> Outcome:
    """The guest had child processes, which no diagnosis needs."""
    return _unsafe(
        "processes",
        "The model tried to start other programs while it was loaded or run. Save it without custom code and "
        "send it again.",
    )


def too_many_threads(limit: int) -> Outcome:
    """The guest had more threads than TensorFlow ever starts."""
    return _unsafe(
        "threads",
        f"The model started more than {limit} threads while it was loaded or run, which no model needs. Save it "
        "without custom code and send it again.",
    )


def forbidden_call() -> Outcome:
    """The guest asked the kernel for something that no diagnosis needs."""
    return _unsafe(
        "calls",
        "The model tried to do something that no model needs to do while it is loaded or run, and was stopped. "
        "Save it without custom code and send it again.",
    )


def killed_by(number: int) -> Outcome:
    """A signal ended the guest, and it was not ours."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return _crashed(
        f"The process that ran the diagnosis ended abnormally ({name}) while it worked on this model. A damaged file "
        "or a defect of TensorFlow can cause this; saving the model again with a current Keras often helps."
    )


def no_report() -> Outcome:
    """The guest ended by itself without having said anything."""
    return _crashed(
        "The process that ran the diagnosis ended without a report. Something in the model ended it early; save the "
        "model without custom code and send it again."
    )


def unbelievable_report() -> Outcome:
    """The guest's report is not one."""
    return _crashed("The diagnosis ended with a report that is not valid, so it was thrown away.", code="internal")


def unexpected_error() -> Outcome:
    """A defect of ours, most likely; the operator has the traceback."""
    return _crashed(
        "Something unexpected went wrong inside the diagnosis of this model. It has been logged; the model and the "
        "batch need not be at fault.",
        code="internal",
    )


def helper_gone() -> Outcome:
    """The zygote died, and this run with it."""
    return _crashed("The process that ran the diagnosis was lost through no fault of the model. Send it again.")


def _crashed(detail: str, code: str = "worker_crashed") -> Outcome:
    return Outcome(kind="crashed", code=code, detail=detail)


def _unsafe(limit: Limit, detail: str) -> Outcome:
    return Outcome(kind="refused", code="model_unsafe", detail=detail, limit=limit)
