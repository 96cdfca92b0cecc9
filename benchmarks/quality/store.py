"""Specimens on disk: made once, diagnosed as often as the engine changes."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.expectations import Expectation
from benchmarks.quality.registry import Entry
from benchmarks.quality.specimens import Order, Specimen, Unfit
from benchmarks.quality.traced import write_traced
from benchmarks.quality.training import CACHE, figures, outputs


@dataclass(frozen=True)
class Stored:
    """A specimen's files and what is known of it. `holdout` holds (loss, score) as it is, `oracle` as it should be."""

    folder: Path
    order: Order
    head: str
    model: Path
    expect: Expectation
    batch_size: int
    options: dict[str, Any]
    holdout: tuple[float, float]
    oracle: tuple[float, float] | None
    facts: dict[str, float]


def fetch(entry: Entry, order: Order) -> Stored | None:
    """The specimen from disk, made first where it is not there; None where it came out unfit."""
    folder = CACHE / order.name
    if not folder.exists():
        unfinished = CACHE / f"{order.name}.{os.getpid()}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _made(entry, order, unfinished)
        unfinished.rename(folder)
    return _read(folder, order) if (folder / "expect.json").exists() else None


def _made(entry: Entry, order: Order, folder: Path) -> None:
    try:
        _write(entry.make(order), folder)
    except Unfit as reason:
        (folder / "unfit.txt").write_text(str(reason))


def _write(made: Specimen, folder: Path) -> None:
    file = {"h5": "model.h5", "saved_model": "model.zip"}.get(made.format, "model.keras")
    if made.format == "saved_model":
        write_traced(made.model, folder / file, by_endpoints=bool(made.order.rng("traced").integers(2)))
    else:
        made.model.save(folder / file)
    np.savez(folder / "batch.npz", **_named("x", made.x), **_named("y", made.y))
    assert made.holdout is not None
    x, y = made.holdout
    np.savez(folder / "holdout.npz", **_named("x", x), **_named("y", y))
    size = made.batch_size if made.model.inputs[0].shape[0] else 256
    known = {
        "file": file, "head": made.head, "expect": made.expect.to_json(), "batch_size": made.batch_size,
        "options": made.options, "facts": made.facts,
        "holdout": figures(outputs(made.model, x, size), y, made.head),
        "oracle": figures(outputs(made.oracle, x, size), y, made.head) if made.oracle is not None else None,
    }  # fmt: skip
    (folder / "expect.json").write_text(json.dumps(known, indent=1))


def _named(prefix: str, values: Any) -> dict[str, Any]:
    if values is None:
        return {}
    if isinstance(values, dict):
        return {f"{prefix}_{name}": a for name, a in values.items()}
    return {prefix: values}


def _read(folder: Path, order: Order) -> Stored:
    known = json.loads((folder / "expect.json").read_text())
    oracle = tuple(known["oracle"]) if known["oracle"] else None
    return Stored(
        folder, order, known["head"], folder / known["file"], Expectation.from_json(known["expect"]),
        known["batch_size"], known["options"], tuple(known["holdout"]), oracle, known["facts"],
    )  # fmt: skip


def arrays(path: Path, prefix: str) -> Any:
    """An array or a dictionary of arrays from a file written by `fetch`."""
    with np.load(path) as stored:
        if prefix in stored.files:
            return stored[prefix]
        return {name[2:]: stored[name] for name in stored.files if name.startswith(f"{prefix}_")}
