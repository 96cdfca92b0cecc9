"""The control: the same files opened by a plain process, one fork each, to show that the canaries do sing.

    python -m tests.attacks.uncaged

Reads lines "LOADER JOB_FOLDER", opens what `caged.stage` put there, leaves what came of it in `out/guest.log`, and
answers each with a line.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.attacks import errand
from tests.attacks.caged import LOG

SECONDS_EACH = 30


def main() -> None:
    """Nothing has run in this process when it forks: a child could not run TensorFlow otherwise."""
    for line in sys.stdin:
        loader, _, folder = line.rstrip("\n").partition(" ")
        child = os.fork()
        if child == 0:
            _open(Path(folder), loader)
        os.waitpid(child, 0)
        print("done", flush=True)


def _open(folder: Path, loader: str) -> None:
    signal.alarm(SECONDS_EACH)
    scratch = folder / "scratch"
    scratch.mkdir()
    os.chdir(scratch)
    (folder / "out").mkdir()
    with (folder / "out" / LOG).open("w") as log:
        model = next((folder / "in").glob("model.*"))
        batch = next((folder / "in").glob("batch.*"))
        errand.attempt(model, batch, loader, log.write)
    os._exit(0)


if __name__ == "__main__":
    main()
