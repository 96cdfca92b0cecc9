"""The report's figures: which numbers each shows, the sentence that says what one sees, and its data to take along."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from app.pages import charts
from app.pages.drawing import Spec, draw
from app.pages.layer_rows import channel_figure_parts, chosen_layer, depth_rows, depth_sentence, positions, series_of
from app.pages.text import Row, finite, number, percent, shown, words

LAYERS_DRAWN = 1000
WORTH_NAMING = 0.005  # Of the divergence: what reads as 0 %.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins so; in text an apostrophe goes before it."""

DEPTH_NOTE = (
    "Local: what arises in the layer itself. Inherited: what the layers before it add in the inference phase. "
    "By chance: what a sample of this size shows one time in a hundred where nothing is wrong."
)
EDGE_NOTE = "The axis is logarithmic; values too small for it, 0 among them, lie at its lower edge."


@dataclass(frozen=True)
class Figure:
    """A plot: `rows` are its data with `columns` as their names and titles; `build` draws it on a width."""

    id: str
    title: str
    sentence: str
    columns: list[tuple[str, str]]
    rows: list[Row]
    build: Callable[[int], Spec]
    note: str = ""
    query: str = ""
    has_table: bool = field(default=True)

    @property
    def wide(self) -> Markup:
        return draw(self.build(charts.WIDE), f"{self.title}. {self.sentence.replace('`', '')}")

    @property
    def narrow(self) -> Markup:
        return draw(self.build(charts.NARROW), f"{self.title}. {self.sentence.replace('`', '')}")

    def csv(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([name for name, _ in self.columns])
        writer.writerows([_cell(row.get(name)) for name, _ in self.columns] for row in self.rows)
        return out.getvalue()

    def json(self) -> str:
        kept = [{name: row.get(name) for name, _ in self.columns} for row in self.rows]
        return json.dumps({"title": self.title, "columns": dict(self.columns), "rows": kept}, indent=1)


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _is_cut(values: list[float]) -> bool:
    edge = charts.lower_edge(values)
    return edge is not None and min(values) < edge


def figures_of(report: dict[str, Any], layer: int | None = None) -> dict[str, Figure]:
    """All figures that the report has numbers for, by id."""
    made = (depth(report), mechanisms(report), contest(report), channels(report, layer), data_plan(report))
    return {figure.id: figure for figure in made if figure is not None}


def depth(report: dict[str, Any]) -> Figure | None:
    """Divergence along the layers, local, inherited and after the fix, with each layer's share of the gap."""
    rows = depth_rows(report)[:LAYERS_DRAWN]
    series, drawn = series_of(rows)
    if not drawn:
        return None
    shares = report["verdict"] != "no_phase_gap" and any(finite(row["share_of_gap"]) is not None for row in rows)
    columns = [
        ("position", "Position"), ("layer", "Layer"), ("local", "Local divergence (nats)"),
        ("inherited", "Inherited divergence (nats)"), ("after_fix", "After the fix (nats)"),
        ("noise_floor", "By chance (nats)"), ("share_of_gap", "Share of the gap"),
    ]  # fmt: skip
    return Figure(
        "depth",
        "Divergence along the depth",
        depth_sentence(report, rows, shares=shares),
        columns,
        rows,
        lambda width: charts.depth(drawn, series, len(rows), width, shares=shares),
        note=" ".join([DEPTH_NOTE, *([EDGE_NOTE] if _is_cut([row["divergence"] for row in drawn]) else [])]),
        has_table=False,
    )


def mechanisms(report: dict[str, Any]) -> Figure | None:
    """Which mechanism the difference of the outputs comes from."""
    parts = report["phases"]["difference"]["by_mechanism"]
    rows: list[Row] = [
        {"name": words(name), "value": value} for name, part in parts.items() if (value := finite(part)) is not None
    ]
    total = sum(abs(row["value"]) for row in rows)
    if not rows or total == 0:
        return None
    for row in rows:
        row["label"] = f"{row['name']}: {number(row['value'])}"
    largest = max(rows, key=lambda row: abs(row["value"]))
    share = largest["value"] / total
    how_much = "All of the difference" if share > 0.9995 else f"The largest part of the difference, {percent(share)},"
    sentence = f"{how_much} comes from {largest['name']}."
    return Figure(
        "mechanisms",
        "What the difference comes from",
        sentence,
        [("name", "Mechanism"), ("value", "Difference of outputs (relative RMS)")],
        rows,
        lambda width: charts.bars(rows, "difference of outputs (relative RMS)", width),
    )


def contest(report: dict[str, Any]) -> Figure | None:
    """How much of the divergence each rival explanation predicts."""
    rows: list[Row] = []
    for item in report["contest"]:
        value = finite(item["explained"])
        if value is not None:
            name = words(str(item["code"]).removeprefix("bn_"))
            label = f"{name}: {percent(value)}"
            rows.append({"code": shown(item["code"]), "name": name, "value": value, "label": label})
    if not rows:
        return None
    rows.sort(key=lambda row: -row["value"])
    best, rival = rows[0], rows[1] if len(rows) > 1 else None
    sentence = f"“{best['name']}” predicts {percent(best['value'])} of the divergence"
    sentence += f"; its best rival, “{rival['name']}”, {percent(rival['value'])}." if rival else "; it has no rival."
    if best["value"] < WORTH_NAMING:
        sentence = "None of the explanations predicts the divergence."
    return Figure(
        "contest",
        "The contest of explanations",
        sentence,
        [("code", "Explanation"), ("value", "Share of the divergence it predicts")],
        rows,
        lambda width: charts.bars(rows, "share of the divergence that it predicts", width, percent=True),
    )


def channels(report: dict[str, Any], position: int | None) -> Figure | None:
    """Stored against batch statistics of one layer's worst channels."""
    layer = chosen_layer(report, position)
    parts = channel_figure_parts(layer) if layer is not None else None
    if layer is None or parts is None:
        return None
    rows, drawn, sentence = parts
    query = f"layer={positions(report)[layer['path']]}"
    columns = [
        ("channel", "Channel"), ("kl", "Divergence (nats)"), ("stored_mean", "Stored mean"),
        ("batch_mean", "Batch mean"), ("stored_variance", "Stored variance"), ("batch_variance", "Batch variance"),
        ("significant", "Beyond chance"),
    ]  # fmt: skip
    title = "The worst channels"
    return Figure("channels", title, sentence, columns, rows, lambda width: charts.channels(drawn, width), query=query)


def data_plan(report: dict[str, Any]) -> Figure | None:
    """How many samples to take statistics from."""
    rows: list[Row] = []
    for point in report["data_plan"]:
        error = finite(point["remaining_error"])
        if error is not None and point["samples"] > 0:
            label = f"{point['samples']} samples: {number(error)}"
            rows.append({"samples": point["samples"], "error": error, "label": label})
    if len(rows) < 2:
        return None
    first, last = rows[0], rows[-1]
    sentence = (
        f"Statistics taken from {first['samples']} samples leave an error of {number(first['error'])} of the outputs' "
        f"spread, from {last['samples']} samples {number(last['error'])}."
    )
    return Figure(
        "data_plan",
        "How many samples to take statistics from",
        sentence,
        [("samples", "Samples"), ("error", "Remaining error (share of the outputs' spread)")],
        rows,
        lambda width: charts.plan(rows, width),
    )
