"""What routes are given: the stores, the watch, and how to write HTML. `app.main` puts it together."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

from fastapi import Request

from app.api.admission import Admission
from app.api.readiness import Readiness
from app.api.watch import EndWatch
from app.fetching.fetcher import Fetcher
from app.jobs.models import Diagnosis
from app.services import Services
from app.settings import Settings

Given = ParamSpec("Given")
Result = TypeVar("Result")

ACCEPTING_THREADS = 8
"""Uploads that are put into the store at a time; each holds 16 MiB where that is a bucket."""


@dataclass
class Context:
    """Everything that a route may use."""

    settings: Settings
    services: Services
    watch: EndWatch
    readiness: Readiness
    report_page: Callable[[Request, Diagnosis, dict[str, Any]], str]
    waiting_page: Callable[[Diagnosis], str]
    uploads_under_way: int = 0
    full_until_s: float = 0.0
    fetcher: Fetcher = field(init=False)
    admission: Admission = field(init=False)

    def __post_init__(self) -> None:
        self.fetcher = Fetcher(self.settings)
        self.admission = Admission(self.services)
        self._accepting = ThreadPoolExecutor(ACCEPTING_THREADS, "accept")

    async def in_accepting_thread(
        self, call: Callable[Given, Result], *given: Given.args, **named: Given.kwargs
    ) -> Result:
        """Call what may take as long as storing an upload does, without keeping the threads of everybody else."""
        loop, about = asyncio.get_running_loop(), contextvars.copy_context()
        return await loop.run_in_executor(self._accepting, partial(about.run, partial(call, *given, **named)))


def context_of(request: Request) -> Context:
    return cast(Context, request.app.state.context)


def wants_html(request: Request) -> bool:
    """Whether the client would rather have HTML than JSON: browsers say so, programs do not."""
    accept = request.headers.get("accept", "")
    return _quality(accept, "text/html") > _quality(accept, "application/json")


def _quality(accept: str, wanted: str) -> float:
    """The quality of a media type in an `Accept` header; the most specific range that matches counts."""
    best = (-1, 0.0)
    for part in accept[:2000].split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        specificity = _specificity(media_range.lower(), wanted)
        if specificity > best[0]:
            best = (specificity, _q(parameters))
    return best[1]


def _specificity(media_range: str, wanted: str) -> int:
    if media_range == wanted:
        return 2
    if media_range == wanted.partition("/")[0] + "/*":
        return 1
    return 0 if media_range == "*/*" else -1


def _q(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.lower().startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
