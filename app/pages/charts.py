"""Vega-Lite specifications of our plots: how numbers are drawn. `figures.py` says which numbers, and what one sees.

Series differ by colour and by shape or dash, so that a plot can be read without colours and in print.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from app.pages.drawing import Spec

WIDE, NARROW = 1080, 340
"""Pixels. Two drawings of each plot: one squeezed onto a phone could not be read."""

PALETTE = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)"]
SHAPES = ["circle", "square", "triangle-up", "diamond"]
DASHES = [[1, 0], [7, 3], [2, 2], [9, 2, 2, 2]]
DECADES = 6
"""A logarithmic axis reaches this far down from the largest value; what lies lower is drawn at its lower edge."""

APART = {"color": "independent", "shape": "independent"}

Rows = Sequence[dict[str, Any]]


def depth(rows: Rows, series: list[str], count: int, width: int, *, shares: bool) -> Spec:
    """Divergence along the layers, and under it each layer's share of the gap."""
    x = _positions("layer, in order of data flow", count)
    curves = _curves(rows, series, x, width)
    if not shares:
        return curves
    share: Spec = {"field": "share", "type": "quantitative", "title": "share of the gap"}
    share["axis"] = {"format": ".0%", "tickCount": 4}
    size = max(2, min(24, round(0.7 * (width - 80) / count)))
    shared: Spec = {
        "width": width - 80,
        "height": 110,
        "data": {"values": list({row["position"]: row for row in rows}.values())},
        "mark": {"type": "bar", "size": size, "color": "var(--c1)"},
        "encoding": {"x": x, "y": share, "description": {"field": "share_label"}},
    }
    return {"vconcat": [curves, shared], "spacing": 12}


def _curves(rows: Rows, series: list[str], x: Spec, width: int) -> Spec:
    values, scale = _on_log(rows, "divergence")
    color, dash, shape = (_by_series(series, shown) for shown in (PALETTE, DASHES, SHAPES))
    y = {"field": "divergence", "type": "quantitative", "title": "divergence (KL, nats)", "scale": scale}
    line = {"strokeDash": dash | {"legend": None}, "color": color | {"legend": None}}
    point = {"color": color | {"legend": _legend(width)}, "shape": shape | {"legend": _legend(width)}}
    size = 70 if _count_of(rows) <= 12 else 36 if _count_of(rows) * 8 < width else 16
    return {
        "width": width - 80,
        "height": 240,
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": line},
            {
                "mark": {"type": "point", "filled": True, "size": size, "opacity": 1},
                "encoding": point | {"description": {"field": "label"}},
            },
        ],
        "encoding": {"x": x, "y": y | {"axis": _axis(scale)}},
        # Each its own, or the lines' legend, which is off, would take away that of the points.
        "resolve": {"scale": APART, "legend": APART},
    }


def _count_of(rows: Rows) -> int:
    return len({row["position"] for row in rows})


def bars(rows: Rows, title: str, width: int, *, percent: bool = False) -> Spec:
    """One horizontal bar a row: `name`, `value` and `label`. An axis of percent goes to 100 however short the bars."""
    room = 250 if width > NARROW else 150
    name = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": room - 15}}
    value: Spec = {"field": "value", "type": "quantitative", "title": title}
    value["axis"] = {"format": ".0%" if percent else "~g", "tickCount": 5}
    if percent:
        shares = [row["value"] for row in rows]
        value["scale"] = {"domain": [min(0.0, *shares), max(1.0, *shares)]}
    return {
        "width": width - room - 20,
        "height": {"step": 26},
        "data": {"values": list(rows)},
        "mark": {"type": "bar", "height": 16, "color": "var(--c1)"},
        "encoding": {"y": name, "x": value, "description": {"field": "label"}},
    }


def channels(rows: Rows, width: int) -> Spec:
    """Stored against batch statistics of the worst channels: means on the left, variances on the right."""
    beside = width > NARROW
    panels = []
    for field, title in (("mean", "mean of the channel"), ("variance", "variance of the channel")):
        values, scale = _on_log(rows, field) if field == "variance" else (list(rows), {"zero": False})
        panels.append(_dumbbell(values, field, title, scale, (width - 190) // 2 if beside else width - 90))
    return {"hconcat" if beside else "vconcat": panels, "spacing": 24}


def _dumbbell(values: list[dict[str, Any]], field: str, title: str, scale: Spec, width: int) -> Spec:
    series = ["stored", "batch"]
    point = {
        "color": _by_series(series, PALETTE) | {"legend": {}},
        "shape": _by_series(series, SHAPES) | {"legend": {}},
        "description": {"field": f"{field}_label"},
    }
    return {
        "width": width,
        "height": {"step": 26},
        "data": {"values": values},
        "encoding": {
            "y": {"field": "channel", "type": "ordinal", "sort": None, "title": "channel, worst first"},
            "x": {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": _axis(scale)},
        },
        "layer": [
            {"mark": {"type": "line", "color": "var(--muted)"}, "encoding": {"detail": {"field": "channel"}}},
            {"mark": {"type": "point", "filled": True, "size": 80, "opacity": 1}, "encoding": point},
        ],
    }


def plan(rows: Rows, width: int) -> Spec:
    """How many samples leave which error."""
    values, scale = _on_log(rows, "error")
    x: Spec = {"field": "samples", "type": "quantitative", "title": "samples that the statistics are taken from"}
    x |= {
        "scale": {"type": "log", "base": 2},
        "axis": {"format": "d", "grid": False, "values": _apart(row["samples"] for row in rows)},
    }
    y = {"field": "error", "type": "quantitative", "title": "remaining error (share of spread)", "scale": scale}
    return {
        "width": width - 80,
        "height": 170,
        "data": {"values": values},
        "mark": {"type": "line", "point": {"filled": True, "size": 50}, "color": "var(--c1)"},
        "encoding": {"x": x, "y": y | {"axis": _axis(scale)}, "description": {"field": "label"}},
    }


def _apart(numbers: Iterable[int]) -> list[int]:
    """Those that labels have room for: each a tenth larger than the one before."""
    kept: list[int] = []
    for each in numbers:
        if not kept or each > kept[-1] * 1.1:
            kept.append(each)
    return kept


def trend(rows: Rows, width: int) -> Spec:
    """The gap of one model's diagnoses over time, its verdict as colour and shape."""
    values, scale = _on_log(rows, "gap")
    point = {"filled": True, "size": 90, "opacity": 1, "type": "point"}
    y = {"field": "gap", "type": "quantitative", "title": "difference of outputs", "scale": scale}
    verdict = {"field": "verdict", "type": "nominal"}
    domain = ["phase gap", "inconclusive", "no phase gap"]
    encoding = {
        "color": verdict
        | {"scale": {"domain": domain, "range": ["var(--red)", "var(--amber)", "var(--green)"]}}
        | {"legend": _legend(width)},
        "shape": verdict
        | {"scale": {"domain": domain, "range": ["square", "triangle-up", "circle"]}}
        | {"legend": _legend(width)},
        "description": {"field": "label"},
    }
    return {
        "width": width - 80,
        "height": 160,
        "data": {"values": values},
        "encoding": {"x": _positions("diagnosis, oldest first", len(rows)), "y": y | {"axis": _axis(scale)}},
        "layer": [
            {"mark": {"type": "line", "color": "var(--muted)", "strokeWidth": 1}},
            {"mark": point, "encoding": encoding},
        ],
    }


def pairs(rows: Rows, count: int, width: int) -> Spec:
    """Two diagnoses' divergence along the layers."""
    return _curves(rows, ["before", "after"], _positions("layer, in order of data flow", count), width)


def _positions(title: str, count: int) -> Spec:
    """An axis of whole numbers from 1, the same in drawings that stand one above the other."""
    scale = {"domain": [0.5, count + 0.5], "nice": False, "padding": 0}
    axis: Spec = {"tickMinStep": 1, "format": "d", "grid": False}
    if count <= 12:
        axis["values"] = list(range(1, count + 1))
    return {"field": "position", "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def _legend(width: int) -> Spec:
    return {"columns": 4 if width > NARROW else 2}


def _by_series(series: list[str], shown: list[Any]) -> Spec:
    return {"field": "series", "type": "nominal", "scale": {"domain": series, "range": shown[: len(series)]}}


def _axis(scale: Spec) -> Spec:
    """Ticks at the decades of a logarithmic axis, where it shows two of them at least."""
    axis: Spec = {"format": "~g", "tickCount": 5}
    if scale.get("type") == "log":
        low, high = scale["domain"]
        decades = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
        if len(decades) > 1:
            axis["values"] = decades
    return axis


def lower_edge(values: Sequence[float]) -> float | None:
    """Where a logarithmic axis for these values begins; None where they do not span one."""
    largest: float = max(values, default=0.0)
    if largest <= 0 or min(values) > largest / 10:
        return None
    positive: float = min(value for value in values if value > 0)
    return max(largest / 10.0**DECADES, positive / 2)


def _on_log(rows: Rows, field: str) -> tuple[list[dict[str, Any]], Spec]:
    """The rows for a logarithmic axis where the values span one: what is too small for it lies at its lower edge."""
    values = [row[field] for row in rows]
    low = lower_edge(values)
    if low is None:
        return list(rows), {"zero": True}
    kept = [row | {field: max(row[field], low)} for row in rows]
    return kept, {"type": "log", "domain": [low, max(values) * 1.3], "nice": False}
