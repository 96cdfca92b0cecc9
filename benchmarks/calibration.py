"""How often a healthy network is called ill: false alarms on fresh samples of the data that it was trained on.

    .venv/bin/python -m benchmarks.calibration [--diagnoses 200] [--only dense-gaussian conv] [--rows 32 64] [--seed 0]
                                               [--whole] [--seconds 150] [--show]

A false alarm is a cause that is not of severity info, or the verdict `phase_gap`. Exit status 1 where the 95 % interval
of the share (Clopper and Pearson 1934) lies above 1 % as a whole, on 32 samples or more. Diagnoses that were made with
the same engine are kept and not made again, so that a run can be cut into slices by `--seconds`. Without `--whole` a
diagnosis ends with the verdict: remedies and report change neither causes nor verdict.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scipy import stats

from benchmarks.simulation import CACHE, Net, Outcome, diagnosed, draw, judged, trained

SIZES = (16, 32, 64, 128, 256)
ALLOWED = 0.01  # False alarms per healthy model ...
FROM_ROWS = 32  # ... at so many samples and more.
MOMENTA = (0.9, 0.99)

GROUPS: dict[str, list[Net]] = {
    "dense-gaussian": [Net("dense", "gaussian", n, m, 0) for n in (3, 4, 5, 6) for m in MOMENTA],
    "dense-heavy": [
        Net("dense", tails, n, m, 0)
        for tails, n in (("student3", 3), ("student3", 5), ("student5", 4), ("lognormal", 3), ("lognormal", 6))
        for m in MOMENTA
    ],
    "conv-gaussian": [Net("conv", "gaussian", n, m, 0) for n in (3, 5, 8) for m in MOMENTA],
    "conv-heavy": [Net("conv", tails, n, m, 0) for tails in ("bright", "student3") for n in (3, 5, 8) for m in MOMENTA],
}

Record = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One diagnosis to make: the `index`-th of its cell."""

    group: str
    rows: int
    labelled: bool
    index: int
    seed: int

    @property
    def net(self) -> Net:
        """The networks of a group take turns."""
        return GROUPS[self.group][self.index % len(GROUPS[self.group])]

    @property
    def key(self) -> str:
        return f"{self.group} {self.rows} {self.labelled} {self.index} {self.seed}"


def tasks(groups: Iterable[str], sizes: Iterable[int], diagnoses: int, seed: int) -> Iterator[Task]:
    """Cell by cell in turn, so that a run cut short has looked at all of them."""
    for index in range(diagnoses):
        for group in groups:
            for rows in sizes:
                for labelled in (True, False):
                    yield Task(group, rows, labelled, index, seed)


@cache
def engine() -> str:
    """A digest of the engine's sources: figures of another engine are not mixed in."""
    digest = hashlib.sha256()
    for path in sorted(Path("analyzers").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Ledger:
    """The diagnoses made so far with this engine, one JSON line each."""

    def __init__(self, name: str) -> None:
        self.path = CACHE / f"{name}-{engine()}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.records: dict[str, Record] = {r["key"]: r for r in map(json.loads, lines)}

    def add(self, record: Record) -> None:
        self.records[record["key"]] = record
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


@cache
def _model(net: Net) -> Any:
    return trained(net)


def diagnose(task: Task, whole: bool) -> Record:
    """Make one diagnosis on rows that no other one of this cell sees."""
    x, y = draw(task.net, task.rows, "calibration", task.seed, task.index)
    run = diagnosed if whole else judged
    outcome: Outcome = run(_model(task.net), x, y if task.labelled else None, seed=task.index)
    return {"key": task.key, "net": task.net.name, **asdict(task), **asdict(outcome), "false": outcome.false}


def interval(hits: int, of: int) -> tuple[float, float]:
    """The exact 95 % interval of a share (Clopper and Pearson 1934)."""
    if not of:
        return 0.0, 1.0
    low = float(stats.beta.ppf(0.025, hits, of - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(0.975, hits + 1, of - hits)) if hits < of else 1.0
    return low, high


def line(name: str, records: list[Record]) -> str:
    """One row of the table."""
    false, of = sum(r["false"] for r in records), len(records)
    low, high = interval(false, of)
    open_ = sum(r["verdict"] == "inconclusive" for r in records)
    layers = [layer for r in records for layer in r["layers"]]
    called = sum(layer["significant"] for layer in layers)
    return (
        f"| {name:<32} | {of:5} | {false:4} | {100 * false / of:5.2f} | {100 * low:5.2f} - {100 * high:5.2f} "
        f"| {100 * open_ / of:5.1f} | {100 * called / max(len(layers), 1):5.2f} |"
    )


def table(records: list[Record]) -> tuple[list[str], list[str]]:
    """The table's lines, and the cells whose false alarms are above `ALLOWED` for certain."""
    lines = [
        "| healthy networks, rows, labels   | diag. | false | %     | 95 % interval | open % | layers % |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    cells: dict[str, list[Record]] = {}
    for r in sorted(records, key=lambda r: (list(GROUPS).index(r["group"]), r["rows"], not r["labelled"])):
        cells.setdefault(f"{r['group']}, {r['rows']}, {'labels' if r['labelled'] else 'none'}", []).append(r)
    for rows in SIZES:
        cells[f"all, {rows}"] = [r for r in records if r["rows"] == rows]
    cells[f"all, {FROM_ROWS} and more"] = [r for r in records if r["rows"] >= FROM_ROWS]
    cells = {name: part for name, part in cells.items() if part}
    lines += [line(name, part) for name, part in cells.items()]
    judged_cells = {n: p for n, p in cells.items() if min(r["rows"] for r in p) >= FROM_ROWS}
    above = [n for n, p in judged_cells.items() if interval(sum(r["false"] for r in p), len(p))[0] > ALLOWED]
    return lines, above


def describe(r: Record) -> str:
    """The figures behind one false alarm."""
    layers = " ".join(
        f"{x['path'].rsplit('_', 1)[-1]}:{x['kl']:.3g}/{x['noise_floor']:.3g}{'*' if x['significant'] else ''}"
        for x in r["layers"]
    )
    return (
        f"{r['net']} rows {r['rows']} {'labels' if r['labelled'] else 'none'} #{r['index']}: {r['verdict']} "
        f"{r['alarms']} systematic {r['systematic']:.3f} floor {r['noise_floor']:.3f} batch {r['batch_noise']:.3f} "
        f"gain (before, mean, z) {r['gain']} training {r['training_gain']} layers kl/floor {layers}"
    )


def main() -> int:
    """Diagnose what is not diagnosed yet and print the table; 1 where false alarms are too many."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--diagnoses", type=int, default=200, help="a cell: group, rows, with or without labels")
    options.add_argument("--only", nargs="*", default=list(GROUPS), help="groups that contain one of these words")
    options.add_argument("--rows", nargs="*", type=int, default=list(SIZES))
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--whole", action="store_true", help="the whole diagnosis, remedies and report too")
    options.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long; run again to go on")
    options.add_argument("--show", action="store_true", help="print the figures behind every false alarm")
    chosen = options.parse_args()
    groups = [g for g in GROUPS if any(word in g for word in chosen.only)]
    ledger, began = Ledger("calibration-whole" if chosen.whole else "calibration"), time.perf_counter()
    wanted = list(tasks(groups, chosen.rows, chosen.diagnoses, chosen.seed))
    for task in wanted:
        if task.key not in ledger.records:
            if time.perf_counter() - began > chosen.seconds:
                break
            ledger.add(diagnose(task, chosen.whole))
    records = [ledger.records[t.key] for t in wanted if t.key in ledger.records]
    lines, above = table(records)
    print("\n".join(lines))
    print(f"engine {engine()}, {len(records)} of {len(wanted)} diagnoses; too many false alarms: {above or 'nowhere'}")
    if chosen.show:
        print("\n".join(describe(r) for r in records if r["false"]))
    return 1 if above else 0


if __name__ == "__main__":
    raise SystemExit(main())
