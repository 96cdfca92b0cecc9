"""What OpenAPI cannot read off the code: the multipart body, its answers, and the problems of each call."""

from __future__ import annotations

from typing import Any

from analyzers.report import Report
from app.api.schemas import Job, ProblemDocument
from app.errors import CATALOG, MEDIA_TYPE, problem_document
from app.jobs.needs import BATCH_SUFFIXES, DEVICES, MODEL_SUFFIXES
from app.placing import HIGHEST_PRIORITY

DIAGNOSIS_CODES = (
    "unsupported_model_format",
    "unsupported_batch_format",
    "model_unreadable",
    "model_unsafe",
    "model_needs_custom_code",
    "batch_unreadable",
    "batch_mismatch",
    "batch_too_small",
    "no_phase_information",
    "out_of_memory",
    "deadline_exceeded",
    "worker_crashed",
)
EVERYWHERE = ("unauthorized", "forbidden", "internal")
AWAY = "`internal`: what the service needs to answer is away just now"


Responses = dict[int | str, dict[str, Any]]


def content(media_type: str, description: str, example: str | None = None) -> Responses:
    """The `responses` entry of an answer that is not JSON."""
    return {200: {"description": description, "content": {media_type: {"example": example} if example else {}}}}


def problems(*codes: str) -> Responses:
    """The `responses` of a route: its problems by status, each with an example."""
    grouped: Responses = {}
    for code in (*codes, *EVERYWHERE):
        status, title = CATALOG[code]
        entry = grouped.setdefault(status, {"model": ProblemDocument, "description": "", "content": {}})
        entry["description"] = f"{entry['description']}, `{code}`".lstrip(", ")
        examples = entry["content"].setdefault(MEDIA_TYPE, {"examples": {}})["examples"]
        examples[code] = {"summary": title, "value": problem_document(code, title + ".")}
    grouped.setdefault(503, {"model": ProblemDocument, "description": AWAY, "content": {MEDIA_TYPE: {}}})
    return grouped


STORE_AWAY: Responses = {503: problems("internal")[500]}
"""Of what is read from the store of files; what is sent to it is answered with 507."""


def use_problem_media_type(schema: dict[str, Any]) -> dict[str, Any]:
    """Put the problem schema where it belongs: FastAPI describes every declared model as the route's own media type."""
    reference = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
    for path in schema.get("paths", {}).values():
        for operation in path.values():
            for status, response in operation.get("responses", {}).items():
                if status >= "400":
                    described = response.get("content", {}).get(MEDIA_TYPE, {})
                    response["content"] = {MEDIA_TYPE: {**described, "schema": reference}}
    for unused in ("HTTPValidationError", "ValidationError"):
        schema.get("components", {}).get("schemas", {}).pop(unused, None)
    return schema


URI_NOTE = "https, http, s3, gs, models or runs, as far as the operator allows (`PHASEGAP_URI_PREFIXES`: nothing)."

MULTIPART_SCHEMA: dict[str, Any] = {
    "type": "object",
    "allOf": [{"anyOf": [{"required": [role]}, {"required": [f"{role}_uri"]}]} for role in ("model", "batch")],
    "additionalProperties": False,
    "properties": {
        "model": {
            "type": "string",
            "format": "binary",
            "description": f"The saved model: one of {', '.join(MODEL_SUFFIXES)}. Archives hold a SavedModel folder.",
        },
        "batch": {
            "type": "string",
            "format": "binary",
            "description": f"Samples as the model takes them: one of {', '.join(BATCH_SUFFIXES)}. Arrays are named `x` "
            "and, optionally, `y` and `sample_weight`; several inputs `x_<name>` or `x_0`, `x_1`.",
        },
        "model_uri": {"type": "string", "description": f"Where to fetch the model, in place of `model`. {URI_NOTE}"},
        "batch_uri": {"type": "string", "description": f"Where to fetch the batch, in place of `batch`. {URI_NOTE}"},
        "batch_size": {
            "type": "integer",
            "minimum": 1,
            "description": "Batch size of the training. Default 32, or the number of samples where that is smaller.",
        },
        "loss": {
            "type": "string",
            "description": "Keras identifier that replaces the compiled loss.",
        },
        "metrics": {"type": "string", "description": "Keras identifiers, comma-separated, that replace the metrics."},
        "reported": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": 'JSON object of figures that were seen while training, such as {"accuracy": 1.0}.',
        },
        "seed": {"type": "integer", "minimum": 0, "description": "Same input and seed: same report, timing aside."},
        "label_column": {"type": "string", "description": "Name of the label column of a CSV or Parquet batch."},
        "device": {
            "type": "string",
            "enum": list(DEVICES),
            "default": DEVICES[0],
            "description": "What it must run on. It waits for a worker that has it; `GET /workers` says what there is.",
        },
        "priority": {
            "type": "integer",
            "minimum": 0,
            "maximum": HIGHEST_PRIORITY,
            "description": "Goes before lower ones. Up to what the API key may ask for, which is the default.",
        },
    },
}

FILE_PARTS: dict[str, Any] = {
    role: {
        "contentType": "application/octet-stream",
        "headers": {
            "Content-Disposition": {
                "description": "The file's name; its ending says what the file is.",
                "schema": {"type": "string"},
                "example": f'form-data; name="{role}"; filename="{role}{suffixes[0]}"',
            }
        },
    }
    for role, suffixes in (("model", MODEL_SUFFIXES), ("batch", BATCH_SUFFIXES))
}

HEADERS: list[dict[str, Any]] = [
    {
        "name": "Prefer",
        "in": "header",
        "schema": {"type": "string"},
        "examples": {
            "wait": {"summary": "Wait up to ten seconds", "value": "wait=10"},
            "async": {"summary": "Do not wait", "value": "respond-async"},
        },
        "description": "How long to wait for the report (RFC 7240).",
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        "description": "The same key with the same content returns the same diagnosis; with other content it is 422.",
    },
]

LOCATION = {"Location": {"schema": {"type": "string"}, "description": "The diagnosis: `/diagnoses/{id}`."}}
APPLIED = {"Preference-Applied": {"schema": {"type": "string"}, "description": "The preference that was honoured."}}
RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds until asking again makes sense."}}

SUBMIT_DESCRIPTION: dict[str, Any] = {
    "response_model": Report,
    "openapi_extra": {
        "parameters": HEADERS,
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": MULTIPART_SCHEMA, "encoding": FILE_PARTS}},
        },
    },
    "responses": {
        200: {"description": "The report.", "headers": LOCATION | APPLIED},
        202: {
            "model": Job,
            "description": "Accepted, not finished in time: the job.",
            "headers": LOCATION | APPLIED | RETRY_AFTER,
        },
        303: {"description": "To a client that prefers HTML: the page of the diagnosis.", "headers": LOCATION},
    }
    | problems(
        "invalid_request",
        "payload_too_large",
        "conflict",
        "too_many_requests",
        "queue_full",
        "insufficient_storage",
        *DIAGNOSIS_CODES,
    ),
}
