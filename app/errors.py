"""What the service answers when it cannot do what was asked: problems after RFC 9457, as an error tree.

    Problem
    ├── the request
    │   ├── InvalidRequest           invalid_request           422
    │   ├── PayloadTooLarge          payload_too_large         413
    │   ├── Unauthorized             unauthorized              401
    │   ├── Forbidden                forbidden                 403
    │   ├── NotFound                 not_found                 404
    │   ├── NotFinished              not_finished              409
    │   ├── Conflict                 conflict                  409
    │   └── TooManyRequests          too_many_requests         429
    ├── the service
    │   ├── QueueFull                queue_full                503
    │   ├── InsufficientStorage      insufficient_storage      507
    │   ├── WorkerCrashed            worker_crashed            500
    │   ├── Internal                 internal                  500
    │   └── StoreAway                internal                  503
    └── the input, found while it was diagnosed (`InputProblem`, by code)
        unsupported_model_format 415    unsupported_batch_format 415    model_unreadable 422
        model_unsafe 422                model_needs_custom_code 422     batch_unreadable 422
        batch_mismatch 422              batch_too_small 422             no_phase_information 422
        out_of_memory 422               deadline_exceeded 422

`detail` is for the person who sent the request. It never holds a traceback or a path of the server.
"""

from __future__ import annotations

from typing import Any

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "/problems/"

CATALOG: dict[str, tuple[int, str]] = {
    "invalid_request": (422, "The request is not valid"),
    "payload_too_large": (413, "The upload is too large"),
    "unsupported_model_format": (415, "This model format is not supported"),
    "unsupported_batch_format": (415, "This batch format is not supported"),
    "model_unreadable": (422, "The model file cannot be read"),
    "model_unsafe": (422, "The model file holds code or reaches outside itself"),
    "model_needs_custom_code": (422, "The model uses classes that are not part of Keras"),
    "batch_unreadable": (422, "The batch file cannot be read"),
    "batch_mismatch": (422, "The batch does not fit the model"),
    "batch_too_small": (422, "The batch has too few samples"),
    "no_phase_information": (422, "The file holds neither two phases nor stored statistics"),
    "out_of_memory": (422, "The diagnosis needs more memory than it may have"),
    "deadline_exceeded": (422, "The diagnosis took longer than it may"),
    "worker_crashed": (500, "The process that ran the diagnosis died"),
    "unauthorized": (401, "An API key is needed"),
    "forbidden": (403, "The API key does not have the role for this"),
    "not_found": (404, "There is no such thing here"),
    "not_finished": (409, "The diagnosis has not finished"),
    "conflict": (409, "The request contradicts the state of the diagnosis"),
    "too_many_requests": (429, "Too many requests"),
    "queue_full": (503, "The queue is full"),
    "insufficient_storage": (507, "The server cannot store this now"),
    "internal": (500, "Something went wrong in the service"),
}
"""Every problem code of the public contract with its HTTP status and title."""


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it so
    """A request that ends in an error answer. `headers` go with the answer, `extensions` into its body."""

    code: str = "internal"

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}
        self.extensions = extensions

    @property
    def status(self) -> int:
        return CATALOG[self.code][0]

    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        return {**problem_document(self.code, self.detail, self.status), **self.extensions}


class InvalidRequest(Problem):
    """A field, header or parameter is missing, unknown or has no meaning."""

    code = "invalid_request"


class PayloadTooLarge(Problem):
    """More bytes than are accepted."""

    code = "payload_too_large"


class Unauthorized(Problem):
    """No API key, or one that is not known."""

    code = "unauthorized"


class Forbidden(Problem):
    """What is asked for takes a role that the caller does not have. Of what is another's it is NotFound."""

    code = "forbidden"


class NotFound(Problem):
    """Nothing is at this address."""

    code = "not_found"


class NotFinished(Problem):
    """The result is asked for before there is one."""

    code = "not_finished"


class Conflict(Problem):
    """What is asked for cannot be had in the state that the diagnosis is in."""

    code = "conflict"


class TooManyRequests(Problem):
    """One client asks too often."""

    code = "too_many_requests"


class QueueFull(Problem):
    """As many jobs wait as may wait."""

    code = "queue_full"


class InsufficientStorage(Problem):
    """The disk is full or would be, or the store of files does not answer."""

    code = "insufficient_storage"


class WorkerCrashed(Problem):
    """The process that ran the job died, and running it again would not help."""

    code = "worker_crashed"


class Internal(Problem):
    """A fault of the service. The log has the reason; the answer does not."""

    code = "internal"


class NotReady(Internal):
    """The service lives but cannot do its work yet."""

    @property
    def status(self) -> int:
        return 503


class StoreAway(Internal):
    """The store of files did not answer, again and again. What was asked for is as it was."""

    RETRY_AFTER_S = 10

    def __init__(
        self, detail: str = "The files of diagnoses cannot be reached at the moment. Try again later."
    ) -> None:
        super().__init__(detail, headers={"Retry-After": str(self.RETRY_AFTER_S)})

    @property
    def status(self) -> int:
        return 503


class MethodNotAllowed(InvalidRequest):
    """The address exists, but not with this method."""

    @property
    def status(self) -> int:
        return 405


class RangeNotSatisfiable(InvalidRequest):
    """A part of a file is asked for that it does not have."""

    STATUS = 416

    @property
    def status(self) -> int:
        return self.STATUS


class InputProblem(Problem):
    """A problem by its code: what a diagnosis found wrong with model or batch."""

    def __init__(self, code: str, detail: str, *, headers: dict[str, str] | None = None, **extensions: Any) -> None:
        super().__init__(detail, headers=headers, **extensions)
        self.code = code if code in CATALOG else "internal"


def problem_document(code: str, detail: str, status: int | None = None) -> dict[str, Any]:
    """The RFC 9457 body for a code of the contract."""
    code = code if code in CATALOG else "internal"
    default_status, title = CATALOG[code]
    return {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": status or default_status,
        "detail": detail,
        "code": code,
    }
