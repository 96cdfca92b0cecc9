"""`/docs` and `/problems/{code}`: the API for people, from its own description. Nothing is fetched from elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.errors import CATALOG, NotFound
from app.pages.rendering import ProblemContext, render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Operation:
    """One call of the API."""

    method: str
    path: str
    summary: str
    description: str
    parameters: list[dict[str, Any]]
    fields: list[tuple[str, dict[str, Any], bool]]
    answers: list[tuple[str, str]]


@dataclass(frozen=True)
class DocsContext:
    """What the documentation page shows."""

    title: str
    description: str
    operations: list[Operation]
    problems: dict[str, tuple[int, str]]
    schemas: list[tuple[str, str]]


@router.get("/docs", response_class=HTMLResponse)
def docs(request: Request) -> HTMLResponse:
    """The API's documentation."""
    schema = request.app.openapi()
    operations = [
        _operation(method, path, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [(name, json.dumps(body, indent=2)) for name, body in schema["components"]["schemas"].items()]
    info = schema["info"]
    return HTMLResponse(
        render("docs.html", DocsContext(info["title"], info["description"], operations, CATALOG, schemas))
    )


@router.get("/problems/{code}", response_class=HTMLResponse)
def problem(code: str) -> HTMLResponse:
    """What a problem type means: the address that `type` of a problem points at."""
    if code not in CATALOG:
        raise NotFound("There is no problem of this name. /docs lists them.")
    status, title = CATALOG[code]
    return HTMLResponse(render("problem.html", ProblemContext(code, status, title)))


def _operation(method: str, path: str, operation: dict[str, Any]) -> Operation:
    return Operation(
        method=method.upper(),
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        parameters=operation.get("parameters", []),
        fields=_fields(operation),
        answers=[(status, answer.get("description", "")) for status, answer in operation["responses"].items()],
    )


def _fields(operation: dict[str, Any]) -> list[tuple[str, dict[str, Any], bool]]:
    content = operation.get("requestBody", {}).get("content", {})
    first: dict[str, Any] = next(iter(content.values()), {})
    schema = first.get("schema", {})
    required = schema.get("required", [])
    return [(name, field, name in required) for name, field in schema.get("properties", {}).items()]
