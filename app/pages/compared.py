"""What changed from one report to another, as data and in words. Pure functions of the two reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.pages import charts
from app.pages.figures import Figure
from app.pages.layer_rows import positions
from app.pages.text import Row, finite, many, number, shown, words

Report = dict[str, Any]
COLUMNS = [
    ("position", "Position"),
    ("layer", "Layer"),
    ("before", "Divergence before (nats)"),
    ("after", "Divergence after (nats)"),
    ("share_before", "Share of the gap before"),
    ("share_after", "Share of the gap after"),
    ("status_before", "State before"),
    ("status_after", "State after"),
]


@dataclass(frozen=True)
class Difference:
    """`figures`: name, before, after. Causes by code; `layers`: those that both reports have."""

    sentence: str
    cautions: list[str]
    figures: list[tuple[str, Any, Any]]
    gone: list[str]
    staying: list[str]
    new: list[str]
    layers: list[Row]

    def figure(self) -> Figure | None:
        """The layers' divergence before and after; None where no layer has both."""
        drawn = [point for row in self.layers for point in _points(row)]
        if not drawn:
            return None
        last = max(row["position"] for row in self.layers)
        return Figure(
            "layers",
            "Divergence of the layers",
            _layers_sentence(self.layers),
            COLUMNS,
            self.layers,
            lambda width: charts.pairs(drawn, last, width),
        )


def difference_of(before: Report, after: Report) -> Difference:
    """What changed."""
    codes = [[finding["code"] for finding in report["causes"]] for report in (before, after)]
    figures = _figures(before, after)
    return Difference(
        sentence=_sentence(before, after, figures),
        cautions=_cautions(before, after),
        figures=figures,
        gone=[code for code in codes[0] if code not in codes[1]],
        staying=[code for code in codes[1] if code in codes[0]],
        new=[code for code in codes[1] if code not in codes[0]],
        layers=_layers(before, after),
    )


def _figures(before: Report, after: Report) -> list[tuple[str, Any, Any]]:
    def both(name: str, *path: str) -> tuple[str, Any, Any]:
        return name, _at(before, path), _at(after, path)

    rows = [both("difference of the outputs (relative RMS)", "phases", "difference", "relative_output_rms")]
    for phase in ("inference", "training"):
        rows.append(both(f"loss, {phase} phase", "phases", phase, "loss"))
        names = [*before["phases"][phase]["metrics"], *after["phases"][phase]["metrics"]]
        rows += [
            both(f"{shown(name)}, {phase} phase", "phases", phase, "metrics", name) for name in dict.fromkeys(names)
        ]
    return [*rows, both("samples", "batch", "samples")]


def _at(report: Report, path: tuple[str, ...]) -> Any:
    value: Any = report
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _sentence(before: Report, after: Report, figures: list[tuple[str, Any, Any]]) -> str:
    one, other = words(before["verdict"]), words(after["verdict"])
    text = f"The verdict stayed “{one}”" if one == other else f"The verdict went from “{one}” to “{other}”"
    _, gap_before, gap_after = figures[0]
    text += f"; the outputs of the phases differed by {number(gap_before)} before and by {number(gap_after)} after."
    _, loss_before, loss_after = figures[1]
    if finite(loss_before) is not None and finite(loss_after) is not None:
        text += f" The loss of the inference phase went from {number(loss_before)} to {number(loss_after)}."
    return text


def _cautions(before: Report, after: Report) -> list[str]:
    found = []
    if before["model"]["name"] != after["model"]["name"]:
        found.append(f"These are two models: {shown(before['model']['name'])} and {shown(after['model']['name'])}.")
    if before["model"]["sha256"] is not None and before["model"]["sha256"] == after["model"]["sha256"]:
        found.append(
            "Both diagnoses were of the very same model file: what differs comes from the batch or the options."
        )
    if before["batch"]["sha256"] != after["batch"]["sha256"]:
        found.append("The two sample batches are not the same: part of what differs may come from the samples.")
    return found


def _layers(before: Report, after: Report) -> list[Row]:
    earlier = {layer["path"]: layer for layer in before["layers"]}
    rows: list[Row] = []
    for path, position in positions(after).items():
        if path in earlier:
            one, other = earlier[path], after["layers"][position - 1]
            rows.append({
                "position": position, "layer": shown(path),
                "before": one["divergence"]["kl"], "after": other["divergence"]["kl"],
                "share_before": _share(before, one), "share_after": _share(after, other),
                "status_before": words(one["status"]), "status_after": words(other["status"]),
            })  # fmt: skip
    return rows


def _share(report: Report, layer: dict[str, Any]) -> Any:
    """A layer's share of the gap; None where there is no gap to share out."""
    return None if report["verdict"] == "no_phase_gap" else layer["share_of_gap"]


def _points(row: Row) -> list[Row]:
    points = []
    for series in ("before", "after"):
        value = finite(row[series])
        if value is not None:
            label = f"{row['layer']}, {series}: {number(value)} nats"
            points.append(
                {"position": row["position"], "series": series, "divergence": max(value, 0.0), "label": label}
            )
    return points


def _layers_sentence(rows: list[Row]) -> str:
    pairs = [(finite(row["before"]), finite(row["after"])) for row in rows]
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    less = sum(1 for one, other in known if other < one)
    text = f"Of {many(len(rows), 'layer')} in both, {less} diverge{'s' if less == 1 else ''} less after than before."
    if known:
        before, after = max(one for one, _ in known), max(other for _, other in known)
        text += f" The largest divergence was {number(before)} nats before and is {number(after)} after."
    return text
