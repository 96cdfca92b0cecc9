"""How long a diagnosis takes against the notebook cell that it replaces, on the founding case.

    python benchmarks/founding_ratio.py [--rounds 5] [--json]

Both are warm: the service has answered one request, this process has run the cell once. Rounds alternate, so that what
else the machine does falls on both alike. Printed: the median of each, their ratio, and where the service's time went.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.notebook_cell import notebook_cell
from examples.client import Client, Server
from examples.founding_case import FOUNDING, import_keras, make

WAIT = "wait=600"


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Wall seconds of one run, and what it returned."""
    started = time.perf_counter()
    result = run()
    return time.perf_counter() - started, result


def alternate(client: Client, model: Path, batch: Path, rounds: int) -> dict[str, Any]:
    """Time both by turns, after one warming run of each."""
    service_s: list[float] = []
    cell_s: list[float] = []
    stages: list[dict[str, float]] = []
    for number in range(rounds + 1):
        seconds, report = timed(lambda: client.submit(model, batch, prefer=WAIT))
        cell_seconds, _ = timed(lambda: notebook_cell(model, batch))
        if number:
            service_s.append(seconds)
            cell_s.append(cell_seconds)
            stages.append(report["timing_s"])
    return {
        "rounds": rounds,
        "service_s": round(statistics.median(service_s), 2),
        "notebook_cell_s": round(statistics.median(cell_s), 2),
        "ratio": round(statistics.median(service_s) / statistics.median(cell_s), 2),
        "stages_s": {name: round(statistics.median(stage[name] for stage in stages), 2) for name in stages[0]},
    }


def show(figures: dict[str, Any]) -> None:
    """Print them for people."""
    print(f"medians of {figures['rounds']} rounds, warm, alternating")
    print(f"  POST /diagnose   {figures['service_s']:7.2f} s")
    print(f"  notebook cell    {figures['notebook_cell_s']:7.2f} s")
    print(f"  ratio            {figures['ratio']:7.2f}")
    print("  service, by stage: " + ", ".join(f"{name} {value}" for name, value in figures["stages_s"].items()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    import_keras()
    model, batch = FOUNDING.folder / "model.keras", FOUNDING.folder / "batch.npz"
    if not model.exists():
        make(FOUNDING)
    os.environ["PHASEGAP_REUSE_REPORTS"] = "0"  # the same files are to be run every round
    with Server() as server:
        figures = alternate(server, model, batch, asked.rounds)
    print(json.dumps(figures, indent=2)) if asked.json else show(figures)


if __name__ == "__main__":
    main()
