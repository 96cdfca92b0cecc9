"""How long a diagnosis takes against the notebook cell that it replaces, on the founding case.

    python benchmarks/founding_ratio.py [--rounds 5] [--json]

Both are warm: the service has answered one request, this process has run the cell once. Rounds alternate, so that what
else the machine does falls on all alike. Printed: the median of each, their ratio, and where the service's time went;
beside them the cell as a script of its own, and the floor: what any diagnosis takes that is sent a file, loads it by
Keras and runs it once in each phase.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.notebook_cell import notebook_cell
from examples.client import Client, Server
from examples.founding_case import FOUNDING, import_keras, make

WAIT = "wait=600"
ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "import sys; from benchmarks.notebook_cell import notebook_cell; notebook_cell(*sys.argv[1:])"


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Wall seconds of one run, and what it returned."""
    started = time.perf_counter()
    result = run()
    return time.perf_counter() - started, result


def script(model: Path, batch: Path) -> None:
    """The cell by a Python that is started for it."""
    subprocess.run(
        [sys.executable, "-c", SCRIPT, str(model), str(batch)], cwd=ROOT, check=True, stderr=subprocess.DEVNULL
    )


def both_phases(model_path: Path, batch_path: Path) -> None:
    """Load, and run each phase once."""
    import keras

    model: Any = keras.models.load_model(model_path, compile=False)
    with np.load(batch_path) as batch:
        x = batch["x"]
    model(x, training=False)
    model(x, training=True)


def alternate(client: Client, model: Path, batch: Path, rounds: int) -> dict[str, Any]:
    """Time all by turns, after one warming run of each."""
    took: dict[str, list[float]] = {name: [] for name in ("service", "cell", "script", "phases", "repeat")}
    stages: list[dict[str, float]] = []
    for number in range(rounds + 1):
        seed = str(number)
        seconds, report = timed(lambda seed=seed: client.submit(model, batch, prefer=WAIT, seed=seed))
        round_s = {
            "service": seconds,
            "repeat": timed(lambda seed=seed: client.submit(model, batch, prefer=WAIT, seed=seed))[0],
            "cell": timed(lambda: notebook_cell(model, batch))[0],
            "script": timed(lambda: script(model, batch))[0],
            "phases": timed(lambda: both_phases(model, batch))[0],
        }
        if number:
            stages.append(report["timing_s"])
            for name, seconds in round_s.items():
                took[name].append(seconds)
    median = {name: statistics.median(seconds) for name, seconds in took.items()}
    return {
        "rounds": rounds,
        "service_s": round(median["service"], 2),
        "notebook_cell_s": round(median["cell"], 2),
        "ratio": round(median["service"] / median["cell"], 2),
        "script_s": round(median["script"], 2),
        "ratio_to_script": round(median["service"] / median["script"], 2),
        "repeat_s": round(median["repeat"], 2),
        "floor_s": round(median["repeat"] + median["phases"], 2),
        "floor_ratio": round((median["repeat"] + median["phases"]) / median["cell"], 2),
        "stages_s": {name: round(statistics.median(stage[name] for stage in stages), 2) for name in stages[0]},
    }


def show(figures: dict[str, Any]) -> None:
    """Print them for people."""
    print(f"medians of {figures['rounds']} rounds, warm, alternating")
    print(f"  POST /diagnose        {figures['service_s']:7.2f} s")
    print(f"  the same files again  {figures['repeat_s']:7.2f} s: sent, hashed, answered without a run")
    print(f"  notebook cell         {figures['notebook_cell_s']:7.2f} s, ratio {figures['ratio']}")
    print(f"  the cell as a script  {figures['script_s']:7.2f} s, ratio {figures['ratio_to_script']}")
    print(
        f"  floor                 {figures['floor_s']:7.2f} s, {figures['floor_ratio']} of the cell: sending, loading,"
    )
    print("                                one pass of each phase")
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
    with Server() as server:
        figures = alternate(server, model, batch, asked.rounds)
    print(json.dumps(figures, indent=2)) if asked.json else show(figures)


if __name__ == "__main__":
    main()
