"""The plot of one model's diagnoses: how large its gap was each time, and what the verdict was."""

from __future__ import annotations

from typing import Any

from app.jobs.models import Diagnosis
from app.pages import charts
from app.pages.figures import Figure
from app.pages.text import Row, finite, moment, number, words

FEWEST = 2  # A single point has no trend.
COLUMNS = [
    ("position", "Number"),
    ("at", "Submitted"),
    ("verdict", "Verdict"),
    ("cause", "Cause"),
    ("gap", "Difference of outputs (relative RMS)"),
    ("id", "Diagnosis"),
]


def trend_figure(found: list[tuple[Diagnosis, dict[str, Any]]]) -> Figure | None:
    """The plot, with diagnoses oldest first; None where there is nothing to follow."""
    rows: list[Row] = []
    for diagnosis, report in found:
        gap = finite(report["phases"]["difference"]["relative_output_rms"])
        if gap is not None:
            rows.append(_row(len(rows) + 1, diagnosis, gap))
    if len(rows) < FEWEST:
        return None
    first, last = rows[0], rows[-1]
    turn = "stayed" if first["verdict"] == last["verdict"] else "went from"
    sentence = f"Over {len(rows)} diagnoses the verdict {turn} “{first['verdict']}”"
    sentence += "" if turn == "stayed" else f" to “{last['verdict']}”"
    sentence += (
        f"; the outputs of the phases differed by {number(first['gap'])} at first and by {number(last['gap'])} last."
    )
    return Figure("trend", "Trend of this model", sentence, COLUMNS, rows, lambda width: charts.trend(rows, width))


def _row(position: int, diagnosis: Diagnosis, gap: float) -> Row:
    verdict, at = words(diagnosis.verdict), moment(diagnosis.created_at)
    return {
        "position": position,
        "at": at,
        "verdict": verdict,
        "cause": diagnosis.primary_cause,
        "gap": gap,
        "id": diagnosis.id,
        "label": f"{at}: {verdict}, {number(gap)}",
    }
