"""What schemathesis is told about the API that no description can say: which diagnoses there are, what files look like.

Loaded by schemathesis itself (`SCHEMATHESIS_HOOKS`). Every choice follows from the generated value, so that the same
seed makes the same requests.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.transport.serialization import Binary

HOME = Path(os.environ["PHASEGAP_FUZZ_DIR"])
FILES = {name: (HOME / name).read_bytes() for name in ("model", "batch")}
KNOWN: dict[str, list[str]] = json.loads((HOME / "known.json").read_text())
LASTING = (*KNOWN["full"], *KNOWN["none"])


def chance(value: object, of: int) -> int:
    """A number below `of` that depends on the value alone."""
    return int.from_bytes(hashlib.sha256(repr(value).encode("utf-8", "replace")).digest()[:4], "big") % of


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Mostly diagnoses that exist. What is deleted is not asked about again."""
    if not path_parameters or "diagnosis_id" not in path_parameters or chance(path_parameters, 4) == 0:
        return path_parameters
    if context.operation.method.upper() == "DELETE":
        return path_parameters | {"diagnosis_id": KNOWN["doomed"].pop()} if KNOWN["doomed"] else path_parameters
    return path_parameters | {"diagnosis_id": LASTING[chance(path_parameters, len(LASTING))]}


@schemathesis.hook
def map_query(context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """A cursor is opaque: one that was made up is refused, as it should be, although it is a string."""
    made_up = query is not None and isinstance(query.get("cursor"), str) and chance(query, 4) != 0
    return {name: value for name, value in query.items() if name != "cursor"} if query and made_up else query


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Most files are files."""
    if not isinstance(body, dict):
        return body
    files = {name: content for name, content in FILES.items() if isinstance(body.get(name), bytes | Binary)}
    return body | {name: Binary(content) for name, content in files.items() if chance(body[name], 4) != 0}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Submissions do not wait."""
    if case.method.upper() == "POST":
        case.headers["Prefer"] = "respond-async"


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failure counts. Two that do not are described, in words that no schema has.

    What is right in form may be wrong in meaning: a field of the form, a cursor, a diagnosis that has failed (422).
    A deleted diagnosis that had not ended says that it was cancelled until it expires.
    """
    kind = type(failure).__name__
    if kind == "RejectedPositiveData":
        has_meaning = case.method.upper() == "POST" or "{diagnosis_id}" in case.operation.path
        return not (has_meaning or "cursor" in (case.query or {}))
    return not (kind == "UseAfterFree" and b"cancelled" in response.content)
