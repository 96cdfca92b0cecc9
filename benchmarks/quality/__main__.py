"""Diagnose fresh specimens, made with known faults or none, and count how often the answer is right.

    .venv/bin/python -m benchmarks.quality [--seeds 1] [--first-seed 601] [--only lag scaled.divided ...] [--show]

A specimen is made once, with its label measured on a hold-out, and kept in `benchmarks/quality/.cache`; later runs only
diagnose. A fault that moves nothing on the hold-out may be called no gap as well and is counted as "unseen" then. Seeds
up to 505 and 600 were looked at, from 501 on after their figures were taken; seeds from 601 on were not.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from benchmarks.quality.registry import Entry, orders
from benchmarks.quality.running import diagnosed, numbered
from benchmarks.quality.specimens import Order
from benchmarks.quality.table import Row, missed, table

UNSEEN = 601
"""Seeds from here on are never looked at while thresholds are set."""


def run(wanted: list[tuple[Entry, Order]], jobs: int, until: float, show: bool) -> list[Row]:
    """Rows in order, as many as there is time for."""
    rows: list[Row] = []
    if jobs == 1:
        for entry, order in wanted:
            if time.perf_counter() > until:
                break
            rows += _told(diagnosed(entry, order), show)
        return rows
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        return _spread(pool, wanted, until, show)


def _spread(pool: Executor, wanted: list[tuple[Entry, Order]], until: float, show: bool) -> list[Row]:
    waiting = [pool.submit(numbered, e.mechanism, e.variant, o) for e, o in wanted]
    rows: list[Row] = []
    for future in waiting:
        if time.perf_counter() > until and not future.done():
            future.cancel()
            continue
        if not future.cancelled():
            rows += _told(future.result(), show)
    return rows


def _told(one: Row | None, show: bool) -> list[Row]:
    if one is None:
        return []
    if show and missed(one):
        print(f"    {one.name}: {one.error}" if one.error else f"    {one.line}", flush=True)
    return [one]


def main() -> None:
    """Parse, run, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--first-seed", type=int, default=UNSEEN)
    options.add_argument("--only", nargs="*", help="mechanisms, or mechanism.variant")
    options.add_argument("--part", default="1/1", help="i/n: the i-th of n slices of the specimens")
    options.add_argument("--show", action="store_true", help="explain every miss")
    options.add_argument("--limit-seconds", type=float, default=float("inf"), help="stop after this long")
    options.add_argument("--jobs", type=int, default=1, help="processes")
    chosen = options.parse_args()
    began = time.perf_counter()
    part, parts = map(int, chosen.part.split("/"))
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    wanted = [pair for seed in seeds for pair in orders(seed, chosen.only)][part - 1 :: parts]
    rows = run(wanted, chosen.jobs, began + chosen.limit_seconds, chosen.show)
    print(table(rows))
    left = f", {len(wanted) - len(rows)} unfit or not reached" if len(rows) < len(wanted) else ""
    print(f"{time.perf_counter() - began:.0f} s{left}")


if __name__ == "__main__":
    main()
