"""Templates and what they may do to a value. Autoescape is on for all of them; no template marks anything as safe.

One filter gives markup of its own, `prose`: it escapes first and wraps afterwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from app import __version__
from app.inert import is_seen
from app.jobs.models import Diagnosis

SHOWN_LIMIT = 200
TEXT_LIMIT = 8000
REFRESH_SECONDS = 2
BACKTICKED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class ReportContext:
    """What the report page shows. `report` has passed the report's own validation."""

    diagnosis: Diagnosis
    report: dict[str, Any]


@dataclass(frozen=True)
class WaitingContext:
    """What a diagnosis without a report shows."""

    diagnosis: Diagnosis
    refresh_seconds: int | None


@dataclass(frozen=True)
class ProblemContext:
    """What the page of a problem type shows, or with a `detail` that of one case."""

    code: str
    status: int
    title: str
    detail: str | None = None


def shown(value: object, limit: int = SHOWN_LIMIT) -> str:
    """Text on one line without control and direction characters, cut where it is too long to be read."""
    text = str(value)[: limit * 4]
    kept = "".join(char if is_seen(char) else " " for char in text)
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def paragraph(value: object) -> str:
    """`shown`, for longer texts."""
    return shown(value, TEXT_LIMIT)


def prose(value: object) -> Markup:
    """`paragraph`, with what stands between backticks as code. Escaped first, so no name becomes markup."""
    return Markup(BACKTICKED.sub(r"<code>\1</code>", str(escape(paragraph(value)))))  # noqa: S704 - escaped just above


def code(value: object) -> str:
    """Code to paste: its line breaks stay."""
    return "\n".join(shown(line, 400) for line in str(value)[:TEXT_LIMIT].splitlines())


def number(value: object) -> str:
    """A figure with as many digits as mean something."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return shown(value, 60)
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def moment(seconds: float | None) -> str:
    """A time of the database for people."""
    return "–" if seconds is None else datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def words(value: object) -> str:
    """A code as words."""
    return shown(value).replace("_", " ")


def cause(code: object) -> str:
    """A cause code as a title that can be read."""
    family, _, rest = str(code).partition("_")
    text = f"Batch normalization: {rest}" if family == "bn" else str(code).capitalize()
    return words(text)


def compared(report: dict[str, Any]) -> str:
    """What the difference of the outputs amounts to, in words."""
    difference = report["phases"]["difference"]
    rms, floor = difference["relative_output_rms"], difference["noise_floor"]
    if difference["significant"]:
        return "a significant difference"
    if report["verdict"] == "inconclusive":
        return "not decided"
    if isinstance(rms, int | float) and isinstance(floor, int | float) and rms > floor:
        return "more than chance gives, too little to matter"
    return "no significant difference"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name_filter in (shown, paragraph, prose, code, number, moment, words, cause, compared):
        environment.filters[name_filter.__name__] = name_filter
    environment.globals["version"] = __version__
    return environment


ENVIRONMENT = _environment()


def render(template: str, context: object) -> str:
    """A page from its template and its typed context, which the template sees as `page`."""
    return ENVIRONMENT.get_template(template).render(page=context)


def report_page(diagnosis: Diagnosis, report: dict[str, Any]) -> str:
    return render("report.html", ReportContext(diagnosis, report))


def waiting_page(diagnosis: Diagnosis) -> str:
    is_open = diagnosis.status in ("queued", "running")
    return render("waiting.html", WaitingContext(diagnosis, REFRESH_SECONDS if is_open else None))


def problem_page(document: dict[str, Any]) -> str:
    """A problem as a browser is shown it."""
    context = ProblemContext(document["code"], document["status"], document["title"], document["detail"])
    return render("problem.html", context)
