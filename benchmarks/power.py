"""How small a fault is seen: shares of diagnoses that show it, by its size and the number of rows.

    .venv/bin/python -m benchmarks.power [--diagnoses 20] [--only lag scale] [--rows 32 64] [--seed 0]
                                         [--jobs 2] [--seconds 150] [--csv curves.csv]

Faults of known size are put into trained networks whose statistics are right. For each fault, size and number of rows
three shares of diagnoses: those in which a layer that is ill is called significant, those with the verdict `phase_gap`,
and those whose primary cause is the right one. Diagnoses made with the same engine are kept, as in
`benchmarks.calibration`. `stale` moves every channel's variance up or down by the factor, at random; `shift` its mean
up or down by so many standard deviations; `lag` mixes the start, mean 0 and variance 1, into all layers with the given
weight, and `counted_lag` is the same in a file whose optimizer says how many steps there were.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.judging import judged
from benchmarks.ledger import Ledger, Record, engine, work
from benchmarks.simulation import Net, draw, normalizations, trained

SIZES = (16, 32, 64, 128, 256)
NETS = (
    Net("dense", "gaussian", 4, 0.99, 0),
    Net("conv", "gaussian", 5, 0.99, 0),
    Net("dense", "lognormal", 3, 0.99, 0),
    Net("conv", "bright", 5, 0.99, 0),
)
RATIOS = (1.05, 1.2, 1.5, 2.0, 3.0)
WEIGHTS = (0.01, 0.1, 0.3, 0.6, 0.9)


@dataclass(frozen=True)
class Fault:
    """Sizes to try, how a list of normalizations is made ill, which of them are, and the cause to be named."""

    levels: tuple[float, ...]
    spoil: Callable[[list[Any], float, np.random.Generator], list[int]]
    cause: str
    factor: bool = False
    counted: bool = False


def _signs(rng: np.random.Generator, layer: Any) -> np.ndarray:
    return rng.choice([-1.0, 1.0], int(layer.moving_mean.shape[0])).astype("float32")


def _stale(layer: Any, ratio: float, rng: np.random.Generator) -> None:
    layer.moving_variance.assign(np.array(layer.moving_variance) * ratio ** _signs(rng, layer))


def stale_one(layers: list[Any], ratio: float, rng: np.random.Generator) -> list[int]:
    """The variances of the layer in the middle."""
    _stale(layers[len(layers) // 2], ratio, rng)
    return [len(layers) // 2]


def stale_all(layers: list[Any], ratio: float, rng: np.random.Generator) -> list[int]:
    """The variances of all layers."""
    for layer in layers:
        _stale(layer, ratio, rng)
    return list(range(len(layers)))


def shift(layers: list[Any], deviations: float, rng: np.random.Generator) -> list[int]:
    """The means of the layer in the middle."""
    layer = layers[len(layers) // 2]
    scale = np.sqrt(np.array(layer.moving_variance) + layer.epsilon)
    layer.moving_mean.assign(np.array(layer.moving_mean) + deviations * scale * _signs(rng, layer))
    return [len(layers) // 2]


def lag(layers: list[Any], weight: float, rng: np.random.Generator) -> list[int]:
    """All statistics as they would stand after fewer updates with the weights as they are."""
    for layer in layers:
        layer.moving_mean.assign((1 - weight) * np.array(layer.moving_mean))
        layer.moving_variance.assign(weight + (1 - weight) * np.array(layer.moving_variance))
    return list(range(len(layers)))


def nothing(layers: list[Any], factor: float, rng: np.random.Generator) -> list[int]:
    """The model is as it should be: the input is not."""
    return [0]


FAULTS = {
    "lag": Fault(WEIGHTS, lag, "bn_statistics_unconverged"),
    "counted_lag": Fault((0.03, 0.1, 0.3), lag, "bn_statistics_unconverged", counted=True),
    "stale_one": Fault(RATIOS, stale_one, "bn_statistics_stale"),
    "stale_all": Fault(RATIOS, stale_all, "bn_statistics_stale"),
    "shift": Fault((0.05, 0.2, 0.5, 1.0), shift, "bn_statistics_stale"),
    "scale": Fault((1.05, 1.25, 2.0, 4.0), nothing, "input_scaling_mismatch", factor=True),
}


@dataclass(frozen=True)
class Task:
    """One sample to diagnose, with labels and without: the `index`-th of its point."""

    fault: str
    level: float
    rows: int
    index: int
    seed: int

    @property
    def key(self) -> str:
        """The same for the same work."""
        return f"{self.fault} {self.level} {self.rows} {self.index} {self.seed}"


@cache
def ill(net: Net, fault: str, level: float) -> tuple[Any, list[int]]:
    """The network with the fault, and the numbers of the layers that are ill."""
    model = trained(net)
    return model, FAULTS[fault].spoil(normalizations(model), level, net.rng("fault", fault, level))


def diagnose(task: Task) -> list[Record]:
    """Diagnose one sample with labels and without."""
    net, fault = NETS[task.index % len(NETS)], FAULTS[task.fault]
    model, sick = ill(net, task.fault, task.level)
    x, y = draw(net, task.rows, "power", task.seed, task.index)
    steps = round(math.log(task.level) / math.log(net.momentum)) if fault.counted else None
    outcomes = judged(model, x * np.float32(task.level) if fault.factor else x, y, seed=task.index, iterations=steps)
    return [
        {
            **asdict(task), "net": net.name, "labelled": labelled, "verdict": outcome.verdict,
            "primary": outcome.primary, "alarms": outcome.alarms, "systematic": outcome.systematic,
            "noise_floor": outcome.noise_floor, "layer": any(outcome.layers[i].significant for i in sick),
            "gap": outcome.verdict == "phase_gap", "right": outcome.primary == fault.cause,
        }
        for labelled, outcome in zip((True, False), outcomes, strict=True)
    ]  # fmt: skip


def points(records: list[Record]) -> dict[tuple[str, float, int], dict[str, float]]:
    """Shares by fault, level and rows."""
    parts: dict[tuple[str, float, int], list[Record]] = defaultdict(list)
    for r in records:
        parts[r["fault"], r["level"], r["rows"]].append(r)
    shares = ("layer", "gap", "right")
    return {p: {"of": len(rs), **{s: sum(r[s] for r in rs) / len(rs) for s in shares}} for p, rs in parts.items()}


def table(curves: dict[tuple[str, float, int], dict[str, float]]) -> Iterator[str]:
    """One table a fault: shares in per cent, layer significant / verdict `phase_gap` / right cause."""
    for name, fault in FAULTS.items():
        sizes = sorted({rows for f, _, rows in curves if f == name})
        if not sizes:
            continue
        yield f"\n{name} ({fault.cause}): layer significant / phase_gap / right cause, %"
        yield "| size | " + " | ".join(f"{rows} rows" for rows in sizes) + " |"
        yield "|---:|" + "---:|" * len(sizes)
        for level in fault.levels:
            found = [curves.get((name, level, rows)) for rows in sizes]
            cells = [
                "-" if p is None else " / ".join(f"{100 * p[k]:.0f}" for k in ("layer", "gap", "right")) for p in found
            ]
            yield f"| {level:g} | " + " | ".join(cells) + " |"


def write(path: Path, curves: dict[tuple[str, float, int], dict[str, float]]) -> None:
    """The curves as rows of fault, size, rows, number of diagnoses and the three shares."""
    with path.open("w", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(["fault", "size", "rows", "diagnoses", "layer_significant", "phase_gap", "right_cause"])
        sheet.writerows([*point, *shares.values()] for point, shares in sorted(curves.items()))


def main() -> None:
    """Diagnose what is not diagnosed yet and print the curves."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--diagnoses", type=int, default=20, help="samples a point, over the networks in turn")
    options.add_argument("--only", nargs="*", default=list(FAULTS), choices=list(FAULTS))
    options.add_argument("--rows", nargs="*", type=int, default=list(SIZES))
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long; run again to go on")
    options.add_argument("--jobs", type=int, default=1, help="processes that share the work")
    options.add_argument("--csv", type=Path)
    chosen = options.parse_args()
    wanted = [
        Task(fault, level, rows, index, chosen.seed)
        for index in range(chosen.diagnoses)
        for fault in chosen.only
        for level in FAULTS[fault].levels
        for rows in chosen.rows
    ]
    known = work(Ledger("power"), wanted, diagnose, chosen.seconds, chosen.jobs)
    records = [r for t in wanted for r in known.get(t.key, [])]
    curves = points(records)
    print("\n".join(table(curves)))
    print(f"\nengine {engine()}, {len(records)} of {2 * len(wanted)} diagnoses")
    if chosen.csv:
        write(chosen.csv, curves)


if __name__ == "__main__":
    main()
