"""One model of the zoo, prepared, diagnosed and judged; run in a process of its own."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import analyzers
import analyzers.pipeline
from analyzers.errors import AnalysisError
from analyzers.report import Report
from benchmarks.zoo import promises
from benchmarks.zoo.exhibit import Exhibit, LeftOut, Outcome, Prepared, Row


def visit(exhibit: Exhibit, folder: Path) -> Row:
    """Prepare and diagnose in `folder`. Whatever is no `AnalysisError` of the diagnosis is raised: a crash."""
    began = time.perf_counter()
    try:
        prepared: Prepared = importlib.import_module(f"benchmarks.zoo.{exhibit.part}").prepare(exhibit, folder)
    except LeftOut as reason:
        return row(exhibit, "left out", 0.0, said=str(reason))
    began = time.perf_counter()
    try:
        report = analyzers.diagnose_files(prepared.model, prepared.batch, **prepared.options)
    except AnalysisError as error:
        broken = promises.of_refusal(error, prepared.refusal)
        seconds = time.perf_counter() - began
        return row(exhibit, "refused", seconds, verdict=f"refused: {error.code}", said=str(error), broken=broken)
    return _reported(exhibit, report, prepared, time.perf_counter() - began)


def _reported(exhibit: Exhibit, report: Report, prepared: Prepared, seconds: float) -> Row:
    return row(
        exhibit,
        "report",
        seconds,
        loaded_by=report.model.route or report.model.format,
        phases="inference" if promises.check(report, "phases_in_file") else "both",
        layers=report.model.layers,
        normalizing=len(report.layers),
        verdict=report.verdict,
        primary=report.primary_cause,
        replay=promises.replay(report),
        said=report.headline,
        broken=promises.of_report(report, prepared),
    )


def row(exhibit: Exhibit, outcome: Outcome, seconds: float, **facts: Any) -> Row:
    """A row of the exhibit."""
    return Row(exhibit.part, exhibit.name, exhibit.version, exhibit.family, outcome, seconds, **facts)
