"""Templates and what they may do to a value. Autoescape is on for all of them; no template marks anything as safe.

Markup comes from three places, each of which escapes or cleans before: `prose` in `text.py`, drawings in `drawing.py`,
and our own style sheet and script where a page carries them with it (`Carried`).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app import __version__
from app.jobs.models import Diagnosis
from app.pages import text
from app.pages.figures import Figure, figures_of
from app.pages.layer_rows import chosen_layer, depth_rows, layers_with_channels, positions
from app.pages.text import cause, compared, prose

__all__ = ["cause", "compared", "problem_page", "prose", "render", "report_page", "waiting_page"]

HERE = Path(__file__).parent
REFRESH_SECONDS = 2
STAGES = ("queued", "inspect", "load", "measure", "explain", "verify")
"""What a job goes through, in this order; a small model passes some of them unseen."""


@dataclass(frozen=True)
class Carried:
    """Style and script inside of a page that is read without a server, and the policy that lets these and no others."""

    style: Markup
    script: Markup
    policy: str


@dataclass(frozen=True)
class ReportContext:
    """What the report page shows. `report` has passed the report's own validation."""

    diagnosis: Diagnosis
    report: dict[str, Any]
    figures: Mapping[str, Figure]
    rows: Sequence[text.Row]
    channel_layers: Sequence[dict[str, Any]]
    layer: str | None
    positions: Mapping[str, int]
    others: Sequence[Diagnosis]
    carried: Carried | None = None
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WaitingContext:
    """What a diagnosis without a report shows."""

    diagnosis: Diagnosis
    refresh_seconds: int | None
    stages: Sequence[str] = STAGES


@dataclass(frozen=True)
class ProblemContext:
    """What the page of a problem type shows, or with a `detail` that of one case."""

    code: str
    status: int
    title: str
    detail: str | None = None


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = "shown paragraph prose code number percent moment words cause compared finite slug bytes_size"
    for name in names.split():
        environment.filters[name] = getattr(text, name)
    environment.globals |= {"version": __version__, "carried": None}
    return environment


ENVIRONMENT = _environment()


def render(template: str, context: object) -> str:
    """A page from its template and its typed context, which the template sees as `page`."""
    extra = {"carried": carried} if (carried := getattr(context, "carried", None)) is not None else {}
    return ENVIRONMENT.get_template(template).render(page=context, **extra)


def report_page(
    diagnosis: Diagnosis, report: dict[str, Any], layer: int | None = None, others: Sequence[Diagnosis] = ()
) -> str:
    """The report as a page; `layer` is the position of the one whose channels are shown, `others` can be compared."""
    return render("report.html", _report_context(diagnosis, report, layer, others))


def report_file(diagnosis: Diagnosis, report: dict[str, Any]) -> str:
    """The report as one file that is read without a server: style, script, plots and their data are inside."""
    context = _report_context(diagnosis, report, None, ())
    links = {f"{figure.id}.csv": data_link("text/csv", figure.csv()) for figure in context.figures.values()}
    links |= {f"{figure.id}.json": data_link("application/json", figure.json()) for figure in context.figures.values()}
    links["report.json"] = data_link("application/json", json.dumps(report, indent=1))
    return render("report.html", ReportContext(**(vars(context) | {"carried": carried(), "links": links})))


def _report_context(
    diagnosis: Diagnosis, report: dict[str, Any], layer: int | None, others: Sequence[Diagnosis]
) -> ReportContext:
    chosen = chosen_layer(report, layer)
    return ReportContext(
        diagnosis=diagnosis,
        report=report,
        figures=figures_of(report, layer),
        rows=depth_rows(report),
        channel_layers=layers_with_channels(report)[:1000],
        layer=chosen["path"] if chosen else None,
        positions=positions(report),
        others=others,
    )


def data_link(media_type: str, content: str) -> str:
    """The content as an address that holds it."""
    return f"data:{media_type};base64,{base64.b64encode(content.encode('utf-8', 'replace')).decode()}"


def carried() -> Carried:
    """Our own style sheet and script for a page on its own. Nothing of a stranger's is in them."""
    style = (HERE / "static" / "style.css").read_text()
    script = (HERE / "static" / "copy.js").read_text()
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'"
    policy += "; form-action 'none'; require-trusted-types-for 'script'; trusted-types"
    return Carried(Markup(style), Markup(script), policy)  # noqa: S704 - files of our own


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def waiting_page(diagnosis: Diagnosis) -> str:
    is_open = diagnosis.status in ("queued", "running")
    return render("waiting.html", WaitingContext(diagnosis, REFRESH_SECONDS if is_open else None))


def problem_page(document: dict[str, Any]) -> str:
    """A problem as a browser is shown it."""
    context = ProblemContext(document["code"], document["status"], document["title"], document["detail"])
    return render("problem.html", context)
