"""A report for people at a terminal. Takes the report as data, wherever it came from: this process or HTTP."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Column, Table
from rich.text import Text

COLOURS = {"critical": "red", "warning": "yellow", "info": "green"}
LAYERS_SHOWN = 12


class Code(Text):
    """Lines to paste, printed as they are: one that was broken to fit the width could not be pasted."""


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Print a report, as `model_dump(mode="json")` or a JSON answer gives it."""
    console = console or Console()
    for part in (_headline(report), _phases(report), *_causes(report), *_remedies(report), *_layers(report)):
        console.print(part, soft_wrap=isinstance(part, Code))
    console.print(_checks(report))


def print_problem(problem: dict[str, Any], console: Console | None = None) -> None:
    """Print a problem document."""
    console = console or Console(stderr=True)
    text = Text(_plain(problem.get("detail", "")))
    console.print(Panel(text, title=Text(_plain(problem.get("title", "Error"))), border_style="red"))


def _headline(report: dict[str, Any]) -> RenderableType:
    model, verdict = _plain(report["model"]["name"]), report["verdict"].replace("_", " ")
    colour = COLOURS.get(report["severity"], "white")
    return Panel(Text(_plain(report["headline"])), title=Text(f"{model}: {verdict}"), border_style=colour)


def _phases(report: dict[str, Any]) -> RenderableType:
    phases = report["phases"]
    if (report["model"].get("static") or {}).get("weights_only"):
        return Text("\nThe two phases\n  neither was run: only the weights of the model were sent")
    table = Table("figure", "inference", "training phase", title="The two phases", title_justify="left")
    inference, training = phases["inference"], phases["training"]
    table.add_row("loss", _number(inference["loss"]), _number(training["loss"]))
    for name, value in inference["metrics"].items():
        table.add_row(Text(_plain(name)), _number(value), _number(training["metrics"].get(name)))
    difference = phases["difference"]
    rms, floor = _number(difference["relative_output_rms"]), _number(difference["noise_floor"])
    chance = "how much of it is chance is unknown with so few samples" if floor == "NaN" else f"{floor} could be chance"
    for figure in phases.get("reported", []):
        by = figure["reproduced_by"].replace("_", " ")
        table.add_row(Text(f"reported {_plain(figure['name'])} {_number(figure['value'])}"), f"reproduced by: {by}")
    table.caption = f"outputs differ by {rms} (relative RMS); {chance}"
    return table


def _causes(report: dict[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = [Text("\nCauses", style="bold")]
    for cause in report["causes"]:
        colour = COLOURS.get(cause["severity"], "white")
        head = Text(f"  {cause['code']}", style=f"bold {colour}")
        head.append(f"  {cause['confidence']:.0%}", style="dim")
        parts += [head, Text(f"    {_plain(cause['explanation'])}")]
        for item in cause["evidence"][:6]:
            against = f" (held against {_number(item['reference'])})" if item.get("reference") is not None else ""
            where = f" of {_plain(item['layer'])}" if item.get("layer") else ""
            parts.append(Text(f"    · {_plain(item['name'])}{where}: {_number(item['value'])}{against}", style="dim"))
    return parts


def _remedies(report: dict[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = [Text("\nWhat to do", style="bold")]
    for remedy in report["remedies"]:
        recommended = remedy["code"] == report["recommended_fix"]
        status = remedy["verification"]["status"].replace("_", " ")
        head = Text(f"  {_plain(remedy['title'])}", style="bold green" if recommended else "bold")
        head.append(f"  [{'recommended, ' if recommended else ''}{status}]", style="dim")
        parts += [head, Text(f"    {_plain(remedy['explanation'])}")]
        note = remedy["verification"].get("note")
        if note:
            parts.append(Text(f"    {_plain(note)}", style="dim"))
        if recommended:
            parts += [*_trial(remedy["verification"]), *_snippet(remedy.get("snippet"))]
    return parts


def _trial(verification: dict[str, Any]) -> list[RenderableType]:
    """What was measured before and after the remedy, and how sure the improvement is."""
    before, after, interval = verification["before"], verification["after"], verification.get("interval")
    parts: list[RenderableType] = []
    for name, value in after.items():
        readable = _plain(name).replace("_", " ")
        parts.append(Text(f"    {readable}: {_number(before.get(name))} before, {_number(value)} after"))
    if interval:
        low, high = (_number(bound) for bound in interval)
        parts.append(Text(f"    interval of the improvement: {low} to {high}"))
    return parts


def _snippet(snippet: str | None) -> list[RenderableType]:
    if not snippet:
        return []
    lines = Syntax("", "python", background_color="default").highlight(_code(snippet))
    lines.rstrip()
    return [Text("\nPython to paste", style="bold"), Code.assemble(lines)]


def _layers(report: dict[str, Any]) -> list[RenderableType]:
    layers = report["layers"]
    if not layers:
        return []
    largest = sorted(layers, key=lambda layer: -_sortable(layer["share_of_gap"]))[:LAYERS_SHOWN]
    title = f"Batch-normalizing layers ({len(largest)} of {len(layers)}, largest share first)"
    name = Column("layer", overflow="fold")
    table = Table(name, "state", "KL", "by chance", "updates", "share of the gap", title=title, title_justify="left")
    for layer in largest:
        figures = (layer["divergence"]["kl"], layer["noise_floor"], layer["effective_updates"], layer["share_of_gap"])
        table.add_row(Text(_plain(layer["path"])), layer["status"], *(_number(figure) for figure in figures))
    return [Group(Text(""), table)]


def _checks(report: dict[str, Any]) -> RenderableType:
    signs = {True: "passed", False: "FAILED", None: "not run"}
    lines = [
        f"  {signs[check['passed']]}: {_plain(check['name'])}: {_plain(check['detail'])}" for check in report["checks"]
    ]
    seconds = _number(report["timing_s"]["total"])
    return Text("\nHow far to trust this\n" + "\n".join(lines) + f"\n  took {seconds} s", style="dim")


def _number(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return _plain(value)


def _sortable(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _plain(value: object, limit: int = 2000) -> str:
    """Names in a report come from a stranger's file: no control characters, no terminal escapes."""
    return "".join(c if unicodedata.category(c)[0] != "C" else " " for c in str(value)[:limit])


def _code(value: object) -> str:
    return "\n".join(_plain(line.expandtabs(4)) for line in str(value).splitlines())
