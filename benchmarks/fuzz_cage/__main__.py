"""Spoilt models and batches through the whole of a guest, as shipped: static pass, loader, both phases, in the cage.

    python -m benchmarks.fuzz_cage --count 10000 [--first 0] [--corpus FOLDER] [--keep FOLDER]

Failures are what the service is to blame for: an exception in the host, an `internal` error, an end past the deadline,
an undocumented code, a file or process left behind, a sound file among the others that does not succeed, a second
zygote. Guests that crash TensorFlow are counted and listed, for they cost nobody else anything. The same numbers give
the same files; `--keep` keeps those that failed or crashed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from app.sandbox.host import Sandbox
from benchmarks.fuzz_cage import corpus
from benchmarks.fuzz_cage.trial import Verdict, run, upload

AT_ONCE = 2
TOLD_EVERY = 500


@dataclass
class Tally:
    """What came of all uploads."""

    endings: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    sound: int = 0

    def add(self, verdict: Verdict, sound: bool) -> None:
        """Count one, and say at once what is wrong with it."""
        self.endings[verdict.ending] += 1
        self.sound += sound
        self.slowest_seconds = max(self.slowest_seconds, 0.0 if sound else verdict.seconds)
        line = f"{verdict.index}: {verdict.model}: {verdict.trouble or verdict.ending} [{verdict.trace}]"
        if verdict.trouble is not None:
            self.failures.append(line)
            print("FAILED", line, flush=True)
        elif verdict.ending.endswith("worker_crashed"):
            self.crashes.append(line)
            print("crashed", line, flush=True)
        if self.endings.total() % TOLD_EVERY == 0:
            print(f"{self.endings.total()} files, {len(self.failures)} failures", flush=True)


def fuzz(indices: Iterable[int], files: list[Path], keep: Path | None = None) -> Tally:
    """Run the uploads of these numbers, `AT_ONCE` at a time, all in one sandbox."""
    tally, sandbox = Tally(), Sandbox()
    with tempfile.TemporaryDirectory() as place:
        others = _children()
        sandbox.start()
        zygotes = _children() - others

        def one(index: int) -> None:
            sent = upload(index, files)
            verdict = run(sandbox, sent, Path(place, str(index)))
            tally.add(verdict, sent.sound)
            if keep is not None and (verdict.trouble or verdict.ending.endswith("worker_crashed")):
                for path, content in zip((sent.model, sent.batch), sent.contents, strict=True):
                    (keep / f"{index}-{path.name}").write_bytes(content)
                (keep / f"{index}-options").write_text(repr(sent.options))

        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(one, indices))
            left = _left_behind(zygotes, Path(place))
        finally:
            sandbox.close()
        left += [f"outlived the sandbox: {process}" for process in _children() & zygotes]
        tally.failures += left
        print("".join(f"FAILED {line}\n" for line in left), end="")
    return tally


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children())


def _left_behind(zygotes: set[psutil.Process], place: Path) -> list[str]:
    """What is there after the last guest's end and should not be."""
    guests = [process for zygote in zygotes if zygote.is_running() for process in zygote.children(recursive=True)]
    found = [f"the zygote was replaced: {zygote}" for zygote in zygotes if not zygote.is_running()]
    found += [f"a process was left: {process}" for process in guests]
    return found + [f"a file was left: {path.name}" for path in place.rglob("*")]


def main() -> None:
    """Print what came of the files; ends with 1 where any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--corpus", type=Path, help="where the sound files are, or shall be kept")
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.corpus or Path(scratch)
        for path in filter(None, (folder, asked.keep)):
            path.mkdir(parents=True, exist_ok=True)
        files = sorted(folder.iterdir()) or corpus.make(folder)
        began = time.perf_counter()
        tally = fuzz(range(asked.first, asked.first + asked.count), files, asked.keep)
        seconds = time.perf_counter() - began
    print(f"{asked.count} files in {seconds:.0f} s, {tally.sound} of them sound; {len(tally.failures)} failures, "
          f"{len(tally.crashes)} guests crashed; slowest {tally.slowest_seconds:.1f} s")  # fmt: skip
    print("\n".join(f"{count:>7}  {ending}" for ending, count in tally.endings.most_common()))
    sys.exit(bool(tally.failures))


if __name__ == "__main__":
    main()
