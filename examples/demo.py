"""What `make demo` runs: the founding case through HTTP, from two files to a repaired model.

Makes the case if it is not there, starts the service on a free port with a temporary data folder, submits, follows,
prints the report, fetches the repaired model and lets both models predict the three images.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.client import Server
from examples.founding_case import FOUNDING, import_keras

WIDE = 120  # for logs and pipes, which have no width of their own
console = Console(width=None if sys.stdout.isatty() else WIDE)


def ensure_case() -> tuple[Path, Path]:
    """Train the founding case once; it stays in examples/out."""
    model, batch = FOUNDING.folder / "model.keras", FOUNDING.folder / "batch.npz"
    if not FOUNDING.made:
        console.print("[bold]1.[/] Training a ResNet-50 on three images for five steps (once, under a minute) ...")
        subprocess.run([sys.executable, str(Path(__file__).with_name("founding_case.py"))], check=True)
    else:
        console.print(f"[bold]1.[/] The founding case is there: {os.path.relpath(FOUNDING.folder)}")
    return model, batch


def diagnose(server: Server, model: Path, batch: Path) -> dict[str, Any]:
    """Submit both files and follow the job to its report."""
    megabytes = (model.stat().st_size + batch.stat().st_size) / 1e6
    console.print(f"[bold]3.[/] POST /diagnose, {megabytes:.0f} MB ...")
    columns = (TextColumn("   {task.description:<12}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("upload", total=1.0)
        job = server.submit(model, batch)
        report = server.follow(job, lambda stage, part: bar.update(task, description=stage, completed=part))
    return dict(report)


def predictions(path: Path, x: Any) -> Any:
    """The class that a saved model predicts for each image."""
    keras = import_keras()
    return np.asarray(keras.models.load_model(path, compile=False).predict(x, verbose=0)).argmax(axis=1)


def compare(model: Path, repaired: Path, batch: Path) -> bool:
    """Print what both models predict; true if the repaired one is right everywhere."""
    with np.load(batch) as arrays:
        x, y = arrays["x"], arrays["y"]
    before, after = predictions(model, x), predictions(repaired, x)
    table = Table("image", "label", "model", "repaired model")
    for index in range(len(y)):
        table.add_row(str(index), str(y[index]), str(before[index]), str(after[index]))
    console.print(table)
    console.print(f"right: {np.sum(before == y)} of {len(y)} before, {np.sum(after == y)} of {len(y)} after")
    return bool((after == y).all())


def say_what_lies_where(model: Path, batch: Path, repaired: Path) -> None:
    """The files that stay, and what to do with them."""
    shown = {path: os.path.relpath(path) for path in (model, batch, repaired)}
    commands = (
        "make serve   # then open http://127.0.0.1:8000 and send your own model and batch",
        f".venv/bin/phasegap diagnose {shown[model]} {shown[batch]}",
        f".venv/bin/phasegap diagnose {shown[repaired]} {shown[batch]}",
    )
    console.print(f"\n[bold]All of it lies in {os.path.relpath(FOUNDING.folder)}[/]")
    console.print(f"  the repaired model: {shown[repaired]}", soft_wrap=True, highlight=False)
    console.print("What to do next:")
    for command in commands:
        console.print(f"  {command}", soft_wrap=True, highlight=False)


def main() -> int:
    """The whole demonstration; 0 if the repaired model predicts the three images right."""
    from app.terminal import print_report

    started = time.monotonic()
    model, batch = ensure_case()
    console.print("[bold]2.[/] Starting the service ...")
    with Server() as server:
        report = diagnose(server, model, batch)
        print_report(report, console)
        console.print("[bold]4.[/] GET the repaired model; both models predict the three images:")
        repaired = server.download(f"/diagnoses/{report['id']}/model", FOUNDING.folder / "repaired.keras")
    right = compare(model, repaired, batch)
    say_what_lies_where(model, batch, repaired)
    console.print(f"Service stopped with exit status {server.exit_status}. {time.monotonic() - started:.0f} s in all.")
    return 0 if right and server.exit_status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
