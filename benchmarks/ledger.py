"""Diagnoses kept on disk by the engine that made them, so that a long run can be cut into slices and shared out."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

CACHE = Path(__file__).parent / ".cache"

Record = dict[str, Any]


class Task(Protocol):
    """A piece of work; the key tells it from all others."""

    @property
    def key(self) -> str:
        """The same for the same work."""

    @property
    def index(self) -> int:
        """Tasks of one index go to one process."""


Make = Callable[[Any], list[Record]]


@cache
def engine() -> str:
    """A digest of the engine's sources: figures of another engine are not mixed in."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parent.parent / "analyzers").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Ledger:
    """What was diagnosed so far with this engine: a JSON line each of a task's key and its records."""

    def __init__(self, name: str) -> None:
        self.path = CACHE / f"{name}-{engine()}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.records: dict[str, list[Record]] = dict(map(json.loads, lines))

    def add(self, key: str, records: list[Record]) -> None:
        """Keep them: one write in append mode, so that several processes may."""
        self.records[key] = records
        with self.path.open("a") as file:
            file.write(json.dumps([key, records]) + "\n")


def work(ledger: Ledger, wanted: Sequence[Task], make: Make, seconds: float, jobs: int) -> dict[str, list[Record]]:
    """Do what is not done yet, by so many processes and until the time is up; all records known then, by key."""
    if jobs <= 1:
        _share(ledger, wanted, make, seconds)
        return ledger.records
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"  # One core a process: layers of small networks gain nothing from two.
    shares = [[t for t in wanted if t.index % jobs == part] for part in range(jobs)]
    name = ledger.path.name.rsplit("-", 1)[0]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_child, args=(name, share, make, seconds)) for share in shares]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a process ended with status {process.exitcode}")
    return Ledger(name).records


def _child(name: str, wanted: Sequence[Task], make: Make, seconds: float) -> None:
    _share(Ledger(name), wanted, make, seconds)


def _share(ledger: Ledger, wanted: Sequence[Task], make: Make, seconds: float) -> None:
    began = time.perf_counter()
    for task in wanted:
        if task.key not in ledger.records:
            if time.perf_counter() - began > seconds:
                return
            ledger.add(task.key, make(task))
