"""A report for a notebook's cell: one piece of HTML without scripts, every text from the report escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analyzers.report import CauseFinding, Phases, RemedyFinding, Report
from analyzers.report_layers import LayerFinding
from phasegap.texts import escaped, number, plain_lines

COLOURS = {"critical": "#b3261e", "warning": "#9a6700", "info": "#1a7f37"}
LAYERS_SHOWN = 12
CELL = "padding:2px 10px;text-align:right"
NAME = "padding:2px 10px;text-align:left"


def report(data: Report) -> str:
    """The whole report, short: headline, phases, causes, what to do, the layers with the largest shares."""
    colour = COLOURS[data.severity]
    parts = [
        f'<div style="border-left:4px solid {colour};padding:2px 12px;max-width:70em">',
        f"<b>{escaped(data.model.name)}: {escaped(data.verdict.replace('_', ' '))}</b>",
        f'<p style="margin:4px 0">{escaped(data.headline)}</p>',
        *_phases(data),
        *(_cause(cause) for cause in data.causes),
        *_fix(next((r for r in data.remedies if r.code == data.recommended_fix), None)),
        layers(data.layers) if data.layers else "",
        "</div>",
    ]
    return "".join(parts)


def layers(found: Sequence[LayerFinding]) -> str:
    """A table of the layers with the largest shares of the gap."""
    largest = sorted(found, key=lambda layer: -_sortable(layer.share_of_gap))[:LAYERS_SHOWN]
    rows = (
        (layer.path, layer.status, number(layer.divergence.kl), number(layer.noise_floor),
         number(layer.effective_updates), number(layer.share_of_gap))
        for layer in largest
    )  # fmt: skip
    caption = f"Batch-normalizing layers ({len(largest)} of {len(found)}, largest share first)"
    return table(caption, ("layer", "state", "KL", "by chance", "updates", "share of the gap"), rows)


def table(caption: str, heads: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A table whose first column names its rows."""
    head = "".join(f'<th scope="col" style="{NAME if i == 0 else CELL}">{escaped(h)}</th>' for i, h in enumerate(heads))
    body = "".join(
        f'<tr><th scope="row" style="{NAME};font-weight:normal">{escaped(row[0])}</th>'
        + "".join(f'<td style="{CELL}">{escaped(cell)}</td>' for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<table style="margin:6px 0"><caption style="text-align:left">{escaped(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _phases(data: Report) -> Iterator[str]:
    if data.model.static and data.model.static.weights_only:
        yield "<p>Neither phase was run: only the weights of the model were sent.</p>"
        return
    phases: Phases = data.phases
    rows = [("loss", number(phases.inference.loss), number(phases.training.loss))]
    rows += [(n, number(v), number(phases.training.metrics.get(n))) for n, v in phases.inference.metrics.items()]
    yield table("The two phases", ("figure", "inference", "training phase"), iter(rows))


def _cause(cause: CauseFinding) -> str:
    return (
        f'<p style="margin:4px 0"><code>{escaped(cause.code)}</code> {cause.confidence:.0%}: '
        f"{escaped(cause.explanation)}</p>"
    )


def _fix(remedy: RemedyFinding | None) -> Iterator[str]:
    if remedy is None:
        return
    status = escaped(remedy.verification.status.replace("_", " "))
    yield f'<p style="margin:4px 0"><b>{escaped(remedy.title)}</b> [{status}] {escaped(remedy.explanation)}</p>'
    if remedy.snippet:
        lines = "\n".join(escaped(line) for line in plain_lines(remedy.snippet).splitlines())
        yield f"<details><summary>Python to paste</summary><pre>{lines}</pre></details>"


def _sortable(value: float) -> float:
    return value if value == value else 0.0  # a share that is not a number sorts as none
