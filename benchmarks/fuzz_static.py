"""Broken files against the static pass: `python -m benchmarks.fuzz_static [--count 5000] [--first 0]`.

Sound files of every layout are spoilt at random: bytes, lengths, members, JSON. Each is read in a process that a crash
may end. A file is a failure where the process dies, raises anything but the errors that have a message for its owner,
or takes over `MOST_SECONDS` or `MOST_BYTES`. The same numbers give the same files.

SavedModels and checkpoints are left out: TensorFlow reads those, and it alone takes more than the limit.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_SECONDS = 1.0
MOST_BYTES = 200 << 20
"""Of the whole process, interpreter, NumPy and h5py (about 70 MiB) among it."""

PATIENCE_SECONDS = 20
"""After which a file counts as one that never ends."""

NUMBERS = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
"""What lengths and addresses are replaced by."""

JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e308,
    1 << 70,
    "",
    "x" * 5000,
    [],
    {},
    [[[]]],
    {"class_name": "Dense"},
    "../..",
)


@dataclass
class Tally:
    """What came of the files: errors by class, failures in words, the slowest and the largest."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory_bytes: int = 0


def seeds(folder: Path) -> None:
    """Write sound files of every layout."""
    import keras

    layers = keras.layers
    inner = keras.Sequential([layers.Input((5,)), layers.Dense(5), layers.BatchNormalization()])
    inputs = layers.Input((4,))
    model = keras.Model(inputs, layers.Dense(3)(inner(layers.BatchNormalization()(layers.Dense(5)(inputs)))))
    model.compile("adam", "mse")
    for name in ("a.keras", "b.h5"):
        model.save(folder / name)
    model.save_weights(folder / "c.weights.h5")
    import tf_keras

    old = tf_keras.Sequential([tf_keras.layers.Input((4,)), tf_keras.layers.BatchNormalization()])
    old.save_weights(folder / "d.h5")
    old.save(folder / "e.h5")


def spoilt(index: int, folder: Path) -> bytes:
    """The content of file number `index`."""
    draw = random.Random(index)
    source = draw.choice(sorted(p for p in folder.iterdir() if p.name[1] == "."))
    content = source.read_bytes()
    if source.suffix == ".keras" and draw.random() < 0.8:
        return repacked(content, draw)
    for _ in range(draw.choice((1, 1, 2, 5))):
        content = draw.choice(WAYS)(content, draw)
    return content


def repacked(content: bytes, draw: random.Random) -> bytes:
    """The archive with one member spoilt, left out or doubled, and sums that fit."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", draw.choice((0, 8))) as new:
        names = old.namelist()
        chosen, what = draw.choice(names), draw.random()
        for name in names:
            member = old.read(name)
            if name == chosen and what < 0.05:
                continue
            if name == chosen:
                spoil = spoil_json if name.endswith(".json") and what < 0.8 else draw.choice(WAYS)
                member = spoil(member, draw)
            new.writestr(name, member)
    return out.getvalue()


def spoil_json(content: bytes, draw: random.Random) -> bytes:
    """JSON with some values replaced or keys left out."""
    root = json.loads(content)
    for _ in range(draw.choice((1, 3))):
        item: Any = root
        for _ in range(draw.randrange(1, 12)):
            keys = list(item) if isinstance(item, dict) else list(range(len(item)))
            if not keys:
                break
            key = draw.choice(keys)
            if not isinstance(item[key], dict | list) or draw.random() < 0.15:
                item[key] = copy.deepcopy(draw.choice(JUNK))
                break
            item = item[key]
    return json.dumps(root).encode()


def _bits(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 4, 40))):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _number(content: bytes, draw: random.Random) -> bytes:
    width, at = draw.choice((2, 4, 8)), draw.randrange(max(1, len(content) - 8))
    at -= at % width if draw.random() < 0.7 else 0
    value = draw.choice(NUMBERS) & ((1 << 8 * width) - 1)
    return content[:at] + value.to_bytes(width, "little") + content[at + width :]


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)] or b"\x89"


def _moved(content: bytes, draw: random.Random) -> bytes:
    """A piece put, or written, elsewhere."""
    start, to, length = (draw.randrange(len(content)) for _ in range(3))
    piece = content[start : start + length % 4096] if draw.random() < 0.7 else bytes(length % 4096)
    return content[:to] + piece + content[to + (len(piece) if draw.random() < 0.7 else 0) :]


WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (_bits, _number, _number, _cut, _moved)


def child(folder: Path, first: int, count: int) -> None:
    """Read files one after the other, and say of each what came of it."""
    from analyzers.errors import AnalysisError
    from analyzers.subjects.outline import read_outline

    path = folder / "spoilt"
    for index in range(first, first + count):
        print("begin", index, flush=True)
        path.write_bytes(spoilt(index, folder))
        signal.alarm(PATIENCE_SECONDS)
        began = time.perf_counter()
        try:
            read_outline(path)
            outcome = "read"
        except AnalysisError as error:
            outcome = type(error).__name__
        except BaseException as error:
            outcome = f"!{type(error).__name__}"
        seconds = time.perf_counter() - began
        signal.alarm(0)
        print("end", index, f"{seconds:.4f}", most_bytes(), outcome, flush=True)
        if most_bytes() > MOST_BYTES:
            return  # the next file gets a process of its own, since the most is kept


def most_bytes() -> int:
    """The most memory that this process has had, which `getrusage` would mix up with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def run(count: int, first: int = 0, folder: Path | None = None) -> Tally:
    """Read `count` files from number `first` on. `folder` holds the sound files, made here where None is given."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as scratch:
        if folder is None:
            folder = Path(scratch)
            seeds(folder)
        at, end = first, first + count
        while at < end:
            command = [sys.executable, "-m", "benchmarks.fuzz_static", "--child", str(folder)]
            told = subprocess.run(
                [*command, "--first", str(at), "--count", str(end - at)], capture_output=True, text=True, check=False
            )
            at = _counted(told, tally, at)
    return tally


def _counted(told: subprocess.CompletedProcess[str], tally: Tally, at: int) -> int:
    """Add what a process said; returns the number of the file to go on with."""
    for line in told.stdout.splitlines():
        word, index, *rest = line.split()
        at = int(index) + 1
        if word == "end":
            seconds, memory, outcome = float(rest[0]), int(rest[1]), rest[2]
            tally.outcomes[outcome] += 1
            tally.seconds, tally.memory_bytes = max(tally.seconds, seconds), max(tally.memory_bytes, memory)
            if outcome.startswith("!") or seconds > MOST_SECONDS or memory > MOST_BYTES:
                tally.failures.append(f"{index}: {outcome} {seconds:.2f} s {memory >> 20} MiB")
    if told.returncode:
        tally.failures.append(f"{at - 1}: the process ended with {told.returncode}: {told.stderr[-300:]}")
    return at


def main() -> None:
    """Print what came of the files; ends with 1 where any failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--child", type=Path)
    asked = parser.parse_args()
    if asked.child is not None:
        child(asked.child, asked.first, asked.count)
        return
    tally = run(asked.count, asked.first)
    print(f"{asked.count} files, {len(tally.failures)} failures; slowest {1e3 * tally.seconds:.0f} ms, "
          f"most memory {tally.memory_bytes >> 20} MiB")  # fmt: skip
    print(", ".join(f"{n} {outcome}" for outcome, n in tally.outcomes.most_common()))
    print("\n".join(tally.failures[:20]))
    sys.exit(bool(tally.failures))


if __name__ == "__main__":
    main()
