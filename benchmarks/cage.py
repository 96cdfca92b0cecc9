"""What the cage costs: `python -m benchmarks.cage [MODEL BATCH]`.

Prints the median time of all steps that a guest takes before it looks at an upload, each step's own where it takes a
tenth of a millisecond, and the time from the order to fork until a guest has written a report without content, through
the sandbox as shipped; then what a guest that waits takes. With a model and a batch, also how long their diagnosis
takes in it. Run as root and as another user: the walls that only root can build cost what the two differ by.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from app.sandbox import cage
from app.sandbox.host import REHEARSAL_LIMITS, Sandbox
from app.sandbox.jobfolder import JobFolder
from app.sandbox.protocol import Limits, Task
from app.sandbox.room import Room
from app.settings import GUEST_UID_BASE

REPEATS = 30
WORTH_TELLING_S = 1e-4
TASK = Task(diagnosis_id="bench", model_file="model", batch_file="batch")
LIMITS = Limits(memory_bytes=4 << 30, wall_seconds=600, output_bytes=1 << 30, cpu_seconds=3600)


def steps_of_one_guest() -> dict[str, float]:
    """Seconds that each step takes in a process of its own."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "job" / "in").mkdir(parents=True)
        with JobFolder(Path(home) / "job", TASK) as folder:
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                _lock_in(folder.path, writing)
            os.close(writing)
            with open(reading, "rb") as pipe:
                said = pipe.read()
            os.waitpid(child, 0)
    taken: dict[str, float] = json.loads(said)
    return taken


def _lock_in(folder: Path, writing: int) -> None:
    room = Room(folder, REHEARSAL_LIMITS, os.getppid(), GUEST_UID_BASE if os.geteuid() == 0 else 0)
    try:
        seconds = {}
        for step in cage.STEPS:
            began = time.perf_counter()
            # The pipe back is what this step would close.
            if step.__name__ != "drop_descriptors":
                step(room)
            seconds[step.__name__] = time.perf_counter() - began
        os.write(writing, json.dumps(seconds).encode())
    finally:
        os._exit(0)


def median_ms(values: list[float]) -> str:
    """The median and the least, as they are printed: on a busy machine the two are far apart."""
    return f"{1e3 * statistics.median(values):8.2f} ms, least {1e3 * min(values):8.2f} ms"


def timed(action: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def diagnose(sandbox: Sandbox, model: Path, batch: Path) -> str:
    """One diagnosis; how it ended."""
    with tempfile.TemporaryDirectory() as home:
        inside = Path(home) / "job" / "in"
        inside.mkdir(parents=True)
        for path in (model, batch):
            (inside / path.name).write_bytes(path.read_bytes())
        task = Task(diagnosis_id="bench", model_file=model.name, batch_file=batch.name)
        outcome = sandbox.run(inside.parent, task, LIMITS, on_progress=lambda *_: None, should_stop=lambda: False)
    return outcome.kind


def waiting_guest() -> str:
    """How long a guest takes to be warm ahead of its job, and the memory that it holds alone."""
    with tempfile.TemporaryDirectory() as home:
        sandbox = Sandbox(spare=LIMITS, folder=Path(home))
        sandbox.start()
        began = time.perf_counter()
        while not (spare := sandbox.spare) or not spare.is_ready:
            time.sleep(0.01)
        seconds, bytes_alone = time.perf_counter() - began, psutil.Process(spare.ticket.pid).memory_full_info().uss
        sandbox.close()
    return f"a guest that waits: warm after {seconds:.2f} s, {bytes_alone / 2**20:.0f} MiB of its own"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="a model and a batch")
    files = parser.parse_args().files
    runs = [steps_of_one_guest() for _ in range(REPEATS)]
    print(f"all steps        {median_ms([sum(run.values()) for run in runs])}  (user {os.geteuid()})")
    for name in runs[0]:
        values = [run[name] for run in runs]
        if statistics.median(values) >= WORTH_TELLING_S:
            print(f"  {name:15}{median_ms(values)}")
    sandbox = Sandbox()
    sandbox.start()
    print(f"isolation: {sandbox.isolation}")
    empty = Path(__file__)
    ends = [timed(lambda: diagnose(sandbox, empty, empty.with_name("ledger.py"))) for _ in range(REPEATS)]
    print(f"fork to refusal  {median_ms(ends)}")
    if files:
        ended = []
        seconds = [timed(lambda: ended.append(diagnose(sandbox, *files))) for _ in range(3)]
        print(f"diagnosis        {median_ms(seconds)}  ({', '.join(ended)})")
    sandbox.close()
    print(waiting_guest())


if __name__ == "__main__":
    main()
