"""What a client raises, as an error tree. `str(error)` says what was wrong and what would be right.

PhaseGapError
├── Problem                the service answered with an error document; `code` tells programs what `detail` tells people
│   ├── InputProblem       model, batch or options are at fault: change them
│   ├── Unauthorized       an API key is needed, or another one
│   ├── Forbidden          the API key does not have the role for this
│   ├── NotFound           there is no such diagnosis, or it has no repaired model
│   ├── Busy               the queue is full or one client asks too often, for longer than was to be waited
│   └── ServiceFault       something went wrong in the service
├── ServiceUnreachable     nothing answers at the address
├── NotFinishedInTime      the diagnosis goes on; `client.wait(error.diagnosis_id)` takes it up again
├── DiagnosisCancelled     somebody cancelled it
├── ReportUnreadable       a report in a newer form than this client knows
└── ApplyRefused           the statistics were not put into the model, and it is as it was
"""

from __future__ import annotations

from typing import Any


class PhaseGapError(Exception):
    """Base of everything that this package raises on purpose."""


class Problem(PhaseGapError):
    """An error document (RFC 9457) of the service."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.code = str(document.get("code") or "internal")
        self.title = str(document.get("title") or "The service could not do what was asked")
        self.detail = str(document.get("detail") or "")
        self.status = int(document.get("status") or 500)
        found = document.get("id")
        self.diagnosis_id = None if found is None else str(found)
        super().__init__(f"{self.title}: {self.detail}" if self.detail else self.title)


class InputProblem(Problem):
    """Model, batch or options are at fault; `detail` says what to change."""


class Unauthorized(Problem):
    """No API key, or one that the service does not know."""


class Forbidden(Problem):
    """The API key may not do this; its roles are the operator's choice."""


class NotFound(Problem):
    """No such diagnosis, or it has no repaired model."""


class Busy(Problem):
    """The service turned the request away because of load, for longer than was to be waited."""


class ServiceFault(Problem):
    """Something went wrong in the service; sending the same again may help."""


class ServiceUnreachable(PhaseGapError):
    """Nothing answers at the address."""


class NotFinishedInTime(PhaseGapError):
    """The diagnosis still runs; it can be waited for again by its id."""

    def __init__(self, diagnosis_id: str, seconds: float) -> None:
        self.diagnosis_id = diagnosis_id
        super().__init__(
            f"The diagnosis {diagnosis_id} had not finished after {seconds:g} s. It goes on: "
            f"client.wait({diagnosis_id!r}) takes it up again."
        )


class DiagnosisCancelled(PhaseGapError):
    """The diagnosis was cancelled and has no report."""


class ReportUnreadable(PhaseGapError):
    """The report has a form that this client does not know; `document` is what came."""

    def __init__(self, message: str, document: object) -> None:
        super().__init__(message)
        self.document = document


class ApplyRefused(PhaseGapError):
    """The statistics were not put into the model; the model is as it was."""


KINDS: dict[str, type[Problem]] = {
    "unauthorized": Unauthorized,
    "forbidden": Forbidden,
    "not_found": NotFound,
    "too_many_requests": Busy,
    "queue_full": Busy,
}
AT_FAULT_ELSEWHERE = ("worker_crashed", "internal", "insufficient_storage", "not_finished", "conflict")
"""Codes that no other model or batch would have avoided."""


def problem_of(document: dict[str, Any]) -> Problem:
    """The error for a problem document."""
    code = str(document.get("code") or "internal")
    default = ServiceFault if code in AT_FAULT_ELSEWHERE else InputProblem
    return KINDS.get(code, default)(document)
