"""How often a healthy network is called ill: false alarms on fresh samples of the data that it was trained on.

    .venv/bin/python -m benchmarks.calibration [--diagnoses 200] [--only dense-gaussian conv] [--rows 32 64] [--seed 0]
                                               [--whole] [--jobs 2] [--seconds 150] [--show] [--networks]

A false alarm is a cause that is not of severity info, or the verdict `phase_gap`. Exit status 1 where the 95 % interval
of the share (Clopper and Pearson 1934) lies above 1 % as a whole, on 32 samples or more. Diagnoses that were made with
the same engine are kept and not made again, so that a run can be cut into slices by `--seconds`. Without `--whole` a
diagnosis ends with the verdict: remedies and report change neither causes nor verdict.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from scipy import stats

from benchmarks.judging import diagnosed, judged, population_divergence
from benchmarks.ledger import Ledger, Record, engine, work
from benchmarks.simulation import Net, draw, model_of

SIZES = (16, 32, 64, 128, 256)
ALLOWED = 0.01  # False alarms per healthy model ...
FROM_ROWS = 32  # ... at so many samples and more.
MOMENTA = (0.9, 0.99)
POPULATION = 4096  # Rows whose own sampling error, about 1 / 4096 nats with normal inputs, is below what is looked for.

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


@dataclass(frozen=True)
class Task:
    """One sample to diagnose, with labels and without: the `index`-th of its cell."""

    group: str
    rows: int
    index: int
    seed: int

    @property
    def net(self) -> Net:
        """The networks of a group take turns."""
        return GROUPS[self.group][self.index % len(GROUPS[self.group])]

    @property
    def key(self) -> str:
        return f"{self.group} {self.rows} {self.index} {self.seed}"


def tasks(groups: Iterable[str], sizes: Iterable[int], diagnoses: int, seed: int) -> Iterator[Task]:
    """Cell by cell in turn, so that a run cut short has looked at all of them."""
    for index in range(diagnoses):
        for group in groups:
            for rows in sizes:
                yield Task(group, rows, index, seed)


def diagnose(task: Task, whole: bool) -> list[Record]:
    """Diagnose with and without labels, on rows that no other sample of this cell has."""
    x, y = draw(task.net, task.rows, "calibration", task.seed, task.index)
    outcomes = (diagnosed if whole else judged)(model_of(task.net), x, y, seed=task.index)
    return [
        {"net": task.net.name, "labelled": labelled, **asdict(task), **asdict(outcome), "false": outcome.false}
        for labelled, outcome in zip((True, False), outcomes, strict=True)
    ]


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


def options() -> argparse.ArgumentParser:
    """What can be asked on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diagnoses", type=int, default=200, help="a cell: group and rows, with labels and without")
    parser.add_argument("--only", nargs="*", default=list(GROUPS), help="groups that contain one of these words")
    parser.add_argument("--rows", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--whole", action="store_true", help="the whole diagnosis, remedies and report too")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long; run again to go on")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the work")
    parser.add_argument("--show", action="store_true", help="print the figures behind every false alarm")
    parser.add_argument("--networks", action="store_true", help="print how healthy the networks are, and end")
    return parser


def networks(groups: list[str]) -> Iterator[str]:
    """How healthy the networks are: accuracy, and each layer's true divergence, in nats, on fresh rows."""
    yield f"accuracy, and divergence from {POPULATION} fresh rows by layer, nats x 1000"
    for net in (net for group in groups for net in GROUPS[group]):
        model, (x, y) = model_of(net), draw(net, POPULATION, "population")
        accuracy = float((np.asarray(model(x)).argmax(axis=1) == y).mean())
        layers = " ".join(f"{1000 * kl:6.2f}" for kl in population_divergence(model, x).values())
        yield f"{net.name:24} {accuracy:.3f} {layers}"


def main() -> int:
    """Diagnose what is not diagnosed yet and print the table; 1 where false alarms are too many."""
    chosen = options().parse_args()
    groups = [g for g in GROUPS if any(word in g for word in chosen.only)]
    if chosen.networks:
        for row in networks(groups):
            print(row, flush=True)
        return 0
    wanted = list(tasks(groups, chosen.rows, chosen.diagnoses, chosen.seed))
    name = "calibration-whole" if chosen.whole else "calibration"
    known = work(Ledger(name), wanted, functools.partial(diagnose, whole=chosen.whole), chosen.seconds, chosen.jobs)
    records = [r for t in wanted for r in known.get(t.key, [])]
    lines, above = table(records)
    print("\n".join(lines))
    print(
        f"engine {engine()}, {len(records)} of {2 * len(wanted)} diagnoses; too many false alarms: {above or 'nowhere'}"
    )
    if chosen.show:
        print("\n".join(describe(r) for r in records if r["false"]))
    return 1 if above else 0


if __name__ == "__main__":
    raise SystemExit(main())
