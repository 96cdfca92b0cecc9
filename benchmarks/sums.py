"""What so many diagnoses a day take: workers, processor time of web and database, files, rows, connections, network.

    python -m benchmarks.sums --per-day 1000 100000 --seconds 10 --model-mb 284

Sums, not measurements: what a single diagnosis costs is given by the options, whose defaults were measured by the
commands that stand beside them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

DAY_S = 24 * 3600
BUSY = 0.7
"""How much of the peak's capacity may be used on average, so that few jobs wait long."""
OTHER_ROWS = 5
"""The diagnosis, its settlement, and three rows of the queue (benchmarks.plans)."""
LOOSE = 1.5
"""How much more a table takes in use than freshly written: rows are changed a dozen times before they rest."""

OPTIONS = (
    ("seconds", 10.0, "a diagnosis takes a slot (make bench: the founding case 9.8; benchmarks.small_jobs: 1.1)"),
    ("model-mb", 284.0, "megabytes of a model file (the founding case, with its optimizer)"),
    ("batch-mb", 1.0, "megabytes of a batch file"),
    ("repaired", 0.3, "share of diagnoses that end with a repaired model, as large as the model"),
    ("report-kb", 60.0, "kilobytes of a report"),
    ("retention-days", 7.0, "days that files and rows are kept (PHASEGAP_RETENTION_SECONDS)"),
    ("peak", 5.0, "how many times the average rate the busiest hour has"),
    ("slots", 1.0, "jobs that a worker runs at a time"),
    ("events", 13.0, "events of a diagnosis (the founding case writes 12, a small model 14)"),
    ("row-kb", 5.0, "kilobytes of rows and indexes of a diagnosis (benchmarks.plans)"),
    ("web-ms", 20.0, "processor time of the web process for a job, its upload aside (benchmarks.growth)"),
    ("web-ms-mb", 3.3, "processor time of the web process for a megabyte (benchmarks.growth --megabytes)"),
    ("database-ms", 30.0, "processor time of the database for a job (benchmarks.growth, 8 workers)"),
    ("idle-ms", 14.0, "processor time of the database for a worker and second (benchmarks.growth)"),
    ("connections", 7.5, "connections of a worker (benchmarks.growth)"),
    ("web-connections", 7.0, "connections of a web process (benchmarks.growth)"),
    ("journeys", 3.0, "times that a file travels: to the web process, to the store, to the worker"),
)


def sums(per_day: float, given: dict[str, float]) -> Iterator[tuple[str, str]]:
    """Each line: what, and how much."""
    rate = per_day / DAY_S
    peak = rate * given["peak"]
    workers = math.ceil(peak * given["seconds"] / given["slots"] / BUSY)
    upload_mb = given["model_mb"] + given["batch_mb"]
    kept_mb = upload_mb + given["repaired"] * given["model_mb"] + given["report_kb"] / 1000
    kept = per_day * given["retention_days"]
    web = peak * (given["web_ms"] + given["web_ms_mb"] * upload_mb) / 1000
    webs = max(1, math.ceil(web / BUSY))
    idle = workers * given["idle_ms"] / 1000
    database = peak * given["database_ms"] / 1000 + idle
    yield "diagnoses a second, average; busiest hour", f"{rate:.2g}; {peak:.2g}"
    yield f"workers of {given['slots']:g} slot, {BUSY:.0%} busy at the peak", f"{workers}"
    yield "web processes (cores that they use at the peak)", f"{webs} ({web:.2g})"
    yield "cores of the database at the peak (of it polling)", f"{database:.2g} ({idle:.2g})"
    yield "connections to the database", f"{workers * given['connections'] + webs * given['web_connections']:.0f}"
    yield "files kept", _bytes(kept * kept_mb * 1e6)
    yield "rows kept", f"{kept * (given['events'] + OTHER_ROWS):,.0f}"
    yield "database on disk", _bytes(kept * given["row_kb"] * 1000 * LOOSE)
    yield "network at the peak, all journeys", f"{_bytes(peak * upload_mb * given['journeys'] * 1e6)}/s"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def main() -> None:
    """Add up and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-day", type=float, nargs="+", default=[1_000, 100_000])
    for name, value, meaning in OPTIONS:
        parser.add_argument(f"--{name}", type=float, default=value, help=f"{meaning} (default {value:g})")
    asked = parser.parse_args()
    given = {name.replace("-", "_"): getattr(asked, name.replace("-", "_")) for name, _, _ in OPTIONS}
    columns = [dict(sums(per_day, given)) for per_day in asked.per_day]
    print(f"{'a day':<52}" + "".join(f"{per_day:>18,.0f}" for per_day in asked.per_day))
    for what in columns[0]:
        print(f"{what:<52}" + "".join(f"{column[what]:>18}" for column in columns))


if __name__ == "__main__":
    main()
