"""`/causes` and `/causes/{code}`: what each cause is, how it looks in a report, what to do. For people and programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response

from app.api.answers import model_response
from app.api.context import wants_html
from app.api.openapi import content, problems
from app.errors import NotFound
from app.pages.rendering import render
from app.reference import CAUSES, CauseEntry, Reference, RemedyEntry, reference

JSON_SUFFIX = ".json"

router = APIRouter(prefix=CAUSES, tags=["causes"])

CauseName = Annotated[str, Path(description="The `code` of a cause.", max_length=64)]


@dataclass(frozen=True)
class CausesContext:
    """What the list of causes shows."""

    reference: Reference


@dataclass(frozen=True)
class CauseContext:
    """What the page of one cause shows. `titles`: of all causes, by code."""

    cause: CauseEntry
    remedies: list[RemedyEntry]
    titles: dict[str, str]


@router.get("", response_model=Reference, responses=content("text/html", "The list"))
def causes(request: Request) -> Response:
    """All causes that a report can name, with the remedies: JSON, or a page to a client that prefers HTML."""
    found = reference()
    if wants_html(request):
        return _page("causes.html", CausesContext(found))
    return model_response(found, headers={"Vary": "Accept"})


@router.get(JSON_SUFFIX, include_in_schema=False)
def causes_as_json() -> Response:
    """The same for a link, which cannot say what it prefers."""
    return model_response(reference())


@router.get(
    "/{code}",
    response_model=CauseEntry,
    responses=content("text/html", "The cause") | problems("invalid_request", "not_found"),
)
def cause(request: Request, code: CauseName) -> Response:
    """One cause: what it is, how it looks, what it is mistaken for, what to do. With `.json` behind the code it is JSON
    whatever the client prefers.
    """
    found = reference().cause(code.removesuffix(JSON_SUFFIX))
    if found is None:
        raise NotFound("There is no cause of this name. /causes lists them.")
    if wants_html(request) and not code.endswith(JSON_SUFFIX):
        titles = {c.code: c.title for c in reference().causes}
        return _page("cause.html", CauseContext(found, reference().remedies_for(found), titles))
    return model_response(found, headers={"Vary": "Accept"})


def _page(template: str, context: object) -> HTMLResponse:
    return HTMLResponse(render(template, context), headers={"Vary": "Accept"})
