"""One specimen, made or fetched, diagnosed and judged; apart from the command for other processes to import."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import analyzers
from benchmarks.quality import catalogue
from benchmarks.quality.judging import judge
from benchmarks.quality.registry import Entry
from benchmarks.quality.specimens import Order
from benchmarks.quality.store import fetch
from benchmarks.quality.table import Row, failed, row


def diagnosed(entry: Entry, order: Order) -> Row | None:
    """Make or fetch one specimen, diagnose its files, judge the report; None where the specimen is unfit."""
    stored, began = None, time.perf_counter()
    try:
        stored = fetch(entry, order)
        if stored is None:
            return None
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            repaired = Path(folder) / f"repaired{stored.model.suffix}"
            report = analyzers.diagnose_files(
                stored.model, stored.folder / "batch.npz", repaired_path=repaired, **stored.options
            )
            seconds = time.perf_counter() - began
            return row(stored, judge(stored, report, repaired), report, seconds)
    except Exception as error:
        return failed(order.name, order.mechanism, stored, error, time.perf_counter() - began)


def numbered(mechanism: str, variant: str, order: Order) -> Row | None:
    """`diagnosed` for another process, to which functions cannot be sent."""
    return diagnosed(catalogue.entry(mechanism, variant), order)
