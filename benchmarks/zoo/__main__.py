"""Diagnose models that nobody here wrote, and hold the reports against what is promised of every diagnosis.

    .venv/bin/python -m benchmarks.zoo [applications wheels layers] [--only NAME ...] [--all] [--again]
                                       [--limit-seconds 500]

Writes `docs/zoo.md` where all parts were asked for and none was cut short. Rows made with the same engine are kept in
`benchmarks/.cache` and not made again, so that a run can be cut into slices. Exit status 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from benchmarks.ledger import Ledger
from benchmarks.zoo.exhibit import Exhibit, Row
from benchmarks.zoo.keeper import kept
from benchmarks.zoo.table import TITLES, page, part, summary

PAGE = Path(__file__).parents[2] / "docs" / "zoo.md"


def rows_of(exhibits: Sequence[Exhibit], until: float, again: bool) -> Iterator[Row]:
    """Rows in order, as many as there is time for."""
    ledger = Ledger("zoo")
    for exhibit in exhibits:
        known = ledger.records.get(_key(exhibit))
        if known and not again:
            yield Row(**known[0])
            continue
        if time.perf_counter() > until:
            return
        row = kept(exhibit)
        ledger.add(_key(exhibit), [asdict(row)])
        wrong = f"  BROKEN {'; '.join(row.broken)}" if row.broken else ""
        print(f"{row.name}: {row.verdict or row.outcome} {row.primary or ''} {row.seconds:.1f} s{wrong}", flush=True)
        if row.broken:
            print(f"    {row.said}", flush=True)
        yield row


def _key(exhibit: Exhibit) -> str:
    return f"{exhibit.key} {exhibit.source.name if exhibit.source else ''}"


def missing_families(rows: Sequence[Row]) -> list[str]:
    """Families of which no member was diagnosed."""
    families = {r.family: False for r in rows if r.part == "applications"}
    families |= {r.family: True for r in rows if r.part == "applications" and r.outcome == "report"}
    return [name for name, shown in families.items() if not shown]


def main() -> int:
    """Parse, run, write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("parts", nargs="*", choices=[*TITLES, []], help="default: all")
    options.add_argument("--only", nargs="*", help="names that contain one of these")
    options.add_argument("--all", action="store_true", help="architectures of any size")
    options.add_argument("--again", action="store_true", help="also what is known for this engine")
    options.add_argument("--limit-seconds", type=float, default=float("inf"), help="start nothing after this long")
    chosen = options.parse_args()
    until = time.perf_counter() + chosen.limit_seconds
    parts = chosen.parts or list(TITLES)
    wanted = [e for name in parts for e in importlib.import_module(f"benchmarks.zoo.{name}").exhibits(chosen.all)]
    wanted = [e for e in wanted if not chosen.only or any(text in e.name for text in chosen.only)]
    rows = list(rows_of(wanted, until, chosen.again))
    whole = len(rows) == len(wanted) and not chosen.only
    absent = missing_families(rows) if whole else []
    if whole and parts == list(TITLES):
        PAGE.write_text(page(rows))
    for name in parts:
        print(part(name, [r for r in rows if r.part == name]))
    print(summary(rows), f"Not reached: {len(wanted) - len(rows)}." if len(rows) < len(wanted) else "")
    if absent:
        print("no member diagnosed of: " + ", ".join(absent))
    return 1 if absent or any(r.broken for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
