"""A report's layers as rows of plots and tables: numbers by position along the data flow, and what they amount to."""

from __future__ import annotations

from statistics import median
from typing import Any

from app.pages.text import Row, finite, many, number, percent, shown

SERIES = (
    ("local", "local"),
    ("inherited", "inherited at inference"),
    ("after_fix", "after the fix"),
    ("noise_floor", "by chance"),
)
LARGEST_NAMED = 3


def depth_rows(report: dict[str, Any]) -> list[Row]:
    """One row a layer in order of data flow; figures that are not finite stay the words they are in the report."""
    points = {point["path"]: point for point in report["depth"]}
    rows = []
    for position, layer in enumerate(report["layers"], start=1):
        point = points.get(layer["path"], {})
        rows.append({
            "position": position,
            "layer": shown(layer["path"]),
            "local": point.get("local", layer["divergence"]["kl"]),
            "inherited": point.get("inherited", layer["inherited"]),
            "after_fix": point.get("after_fix"),
            "noise_floor": layer["noise_floor"],
            "share_of_gap": layer["share_of_gap"],
            "significant": layer["significant"],
        })  # fmt: skip
    return rows


def series_of(rows: list[Row]) -> tuple[list[str], list[Row]]:
    """The curves that have points, and a row for each point of them."""
    drawn = []
    for row in rows:
        share = finite(row["share_of_gap"]) or 0.0
        common = {
            "position": row["position"],
            "share": share,
            "share_label": f"{row['layer']}: {percent(share)} of the gap",
        }
        for key, title in SERIES:
            value = finite(row[key])
            if value is not None:
                label = f"{row['layer']}, {title}: {number(value)} nats"
                drawn.append(common | {"series": title, "divergence": max(value, 0.0), "label": label})
    used = {row["series"] for row in drawn}
    return [title for _, title in SERIES if title in used], drawn


def depth_sentence(report: dict[str, Any], rows: list[Row], *, shares: bool) -> str:
    """What the curves and bars show, in words."""
    local = [(value, row) for row in rows if (value := finite(row["local"])) is not None]
    significant = sum(1 for row in rows if row["significant"])
    parts = [f"{significant} of {many(len(rows), 'layer')} {_diverge(significant)} beyond chance."]
    if local:
        value, row = max(local, key=lambda pair: pair[0])
        text = f"The largest local divergence is {number(value)} nats, in `{row['layer']}` (layer {row['position']})"
        text += f"; the median is {number(median(each for each, _ in local))}" if len(local) > 1 else ""
        parts.append(text + ".")
    if shares:
        parts.append(_shares_sentence(rows))
    after = [value for row in rows if (value := finite(row["after_fix"])) is not None]
    if after:
        parts.append(
            f"After the fix, on samples that it was not computed from, at most {number(max(after))} nats are left."
        )
    elif report["verdict"] == "phase_gap":
        parts.append("What the fix would leave on other samples was not measured here.")
    return " ".join(parts)


def _diverge(count: int) -> str:
    return "diverges" if count == 1 else "diverge"


def _shares_sentence(rows: list[Row]) -> str:
    ranked = sorted(rows, key=lambda row: -(finite(row["share_of_gap"]) or 0.0))[:LARGEST_NAMED]
    first = finite(ranked[0]["share_of_gap"]) or 0.0
    carrier = f"`{ranked[0]['layer']}` (layer {ranked[0]['position']})"
    text = f"The largest share of the gap, {percent(first)}, is carried by {carrier}"
    if len(rows) > LARGEST_NAMED:
        together = sum(finite(row["share_of_gap"]) or 0.0 for row in ranked)
        text += f"; the {LARGEST_NAMED} largest carry {percent(together)} together"
    return text + "."


def layers_with_channels(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers that the report carries channels of."""
    return [layer for layer in report["layers"] if layer["divergence"]["worst_channels"]]


def chosen_layer(report: dict[str, Any], position: int | None) -> dict[str, Any] | None:
    """The layer at this position; without one that with the largest share, or divergence where there is no gap."""
    layers = layers_with_channels(report)
    if position is not None and 0 < position <= len(report["layers"]) and report["layers"][position - 1] in layers:
        return dict(report["layers"][position - 1])
    by = _share if report["verdict"] == "phase_gap" else _divergence
    return max(layers, key=by, default=None)


def positions(report: dict[str, Any]) -> dict[str, int]:
    """Where each layer stands in the order of data flow, from 1."""
    return {layer["path"]: position for position, layer in enumerate(report["layers"], start=1)}


def _share(layer: dict[str, Any]) -> float:
    return finite(layer["share_of_gap"]) or 0.0


def _divergence(layer: dict[str, Any]) -> float:
    return finite(layer["divergence"]["kl"]) or 0.0


def channel_figure_parts(layer: dict[str, Any]) -> tuple[list[Row], list[Row], str] | None:
    """Rows, points and sentence of the plot of a layer's channels."""
    rows: list[Row] = list(layer["divergence"]["worst_channels"])
    drawn = []
    for row in rows:
        for series in ("stored", "batch"):
            mean, variance = finite(row[f"{series}_mean"]), finite(row[f"{series}_variance"])
            if mean is not None and variance is not None and variance >= 0:
                name = f"channel {row['channel']}, {series}"
                drawn.append({
                    "channel": row["channel"], "series": series, "mean": mean, "variance": variance,
                    "mean_label": f"{name} mean: {number(mean)}",
                    "variance_label": f"{name} variance: {number(variance)}",
                })  # fmt: skip
    if not drawn:
        return None
    return rows, drawn, _channels_sentence(layer, rows[0])


def _channels_sentence(layer: dict[str, Any], worst: Row) -> str:
    return (
        f"In `{shown(layer['path'])}` {layer['significant_channels']} of {many(layer['channels'], 'channel')} "
        f"{_diverge(layer['significant_channels'])} beyond chance. "
        f"The worst, channel {worst['channel']}, has stored mean {number(worst['stored_mean'])} and variance "
        f"{number(worst['stored_variance'])}; the batch has {number(worst['batch_mean'])} and "
        f"{number(worst['batch_variance'])}."
    )
