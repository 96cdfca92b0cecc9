"""`kill -9` at random moments over a run of jobs, against a real server: does every accepted job end, and only once?

    python -m benchmarks.kill_storm --jobs 50 --kills 100 --seed 1

Victims are the web process, the worker, the zygote, a guest, the supervisor itself, which is then started again, and
now and then any process of them all. Clients send an Idempotency-Key and try again when a connection breaks, as
clients should. The evidence is the table of settlements: one line for every end that was recorded.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil

from app.locks import owner_is_dead
from benchmarks import service
from benchmarks.service import Service

KINDS = ["web", "worker", "zygote", "guest", "guest", "supervisor", "any"]
CLIENTS = 4
RECOVERY_LIMIT_S = 60.0
SWEEP_S = 2.0


class Storm:
    """Kills somebody every now and then, so many times, and notes how long it takes until a successor is there."""

    def __init__(self, server: Service, rng: random.Random, pause_s: float, kills: int, limit_s: float) -> None:
        self.server = server
        self.rng = rng
        self.pause_s = pause_s
        self.kills = kills
        self.limit_s = limit_s
        self.killed: Counter[str] = Counter()
        self.recovery_s: dict[str, list[float]] = defaultdict(list)
        self.calm = threading.Event()
        self.thread = threading.Thread(target=self._rage, daemon=True)

    def _rage(self) -> None:
        bag: list[str] = []
        end = time.monotonic() + self.limit_s
        while self.killed.total() < self.kills and time.monotonic() < end:
            time.sleep(self.rng.uniform(0.2, 1.8) * self.pause_s)
            bag = bag or self.rng.sample(KINDS, len(KINDS))  # all kinds equally often, in random order
            kind = self._strike(bag.pop())
            if kind is not None:
                self.killed[kind] += 1
                print(f"kill {self.killed.total()} of {self.kills}: {kind}", file=sys.stderr, flush=True)
                self._recover(kind)
        self.calm.set()

    def _strike(self, wanted: str) -> str | None:
        """Kill one of a kind, which is returned; for guests, lie in wait for one."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            try:
                tree = self.server.tree()
                alive = [(kind, process) for kind, found in tree.items() for process in found]
                victims = [(kind, process) for kind, process in alive if wanted in (kind, "any")]
                if victims:
                    time.sleep(self.rng.uniform(0, 0.3))
                    kind, process = self.rng.choice(victims)
                    process.kill()
                    return kind
            except psutil.NoSuchProcess:
                pass
            time.sleep(0.01)
        return None

    def _recover(self, kind: str) -> None:
        """Time a successor; a killed supervisor is one that somebody starts again. The storm goes on beside the wait
        of workers and zygotes, so that it meets them while they start.
        """
        began_s = time.monotonic()
        if kind == "supervisor":
            self.server.process.wait()
            self.server.start()
        if kind in ("web", "supervisor"):
            while not _answers(self.server.url) and time.monotonic() - began_s < RECOVERY_LIMIT_S:
                time.sleep(0.02)
            self.recovery_s[kind].append(time.monotonic() - began_s)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", timeout=30).status_code == 200
    except httpx.HTTPError:
        return False


def submit(storm: Storm, files: tuple[bytes, bytes], number: int) -> str | None:
    """Send one job until it is accepted; the first `CLIENTS` at once, the others spread over the storm."""
    due = storm.killed.total() + CLIENTS  # as many kills apart as there are clients, or jobs would all end before it
    while not storm.calm.is_set() and storm.killed.total() < min(due, storm.kills) and number >= CLIENTS:
        time.sleep(0.1)
    while True:
        try:
            sent = {"model": ("model.keras", files[0]), "batch": ("batch.npz", files[1])}
            headers = {"Idempotency-Key": f"storm-{number}", "Prefer": "respond-async"}
            answer = httpx.post(
                f"{storm.server.url}/diagnose", files=sent, headers=headers, timeout=30, data={"seed": str(number)}
            )
            if answer.status_code in (200, 202) or answer.headers.get("location"):
                return str(answer.json()["id"])  # the latter: accepted before, and ended in an error since
        except httpx.HTTPError:
            pass
        time.sleep(0.2)


def run(jobs: int, kills: int, seed: int, pause_s: float, limit_s: float, folder: Path) -> int:
    """The storm and what came of it: 0 where everything held."""
    files = service.uploads(folder)
    # Jobs are not given up however often they are killed, so each must succeed.
    server = Service(folder, slots=2, attempts_limit=10 * kills, sweep_seconds=SWEEP_S)
    storm, started_s = Storm(server, random.Random(seed), pause_s, kills, limit_s), time.monotonic()
    storm.thread.start()
    with ThreadPoolExecutor(CLIENTS) as clients:
        ids = list(clients.map(lambda number: submit(storm, files, number), range(jobs)))
    storm.thread.join()
    calm_at_s = time.time()
    states = service.wait_until_all_ended(folder, 600.0)
    found: dict[str, Any] = {"seconds until all had ended in the calm": round(time.time() - calm_at_s, 1)}
    found["uploads without a job, until the sweep"] = _sweep(folder)
    _bury(folder)
    found["exit code of the server at the end"] = server.stop()
    time.sleep(1.0)
    found["seconds"] = round(time.monotonic() - started_s, 1)
    return judge([i for i in ids if i is not None], states, storm, calm_at_s, found)


def _sweep(folder: Path) -> int:
    """Age what a kill left between file and row, and wait for the sweep to take it; how many those were."""
    left = service.orphans(folder)
    for path in left:
        os.utime(path, (time.time() - 3600, time.time() - 3600))
    end = time.monotonic() + 10 * SWEEP_S
    while service.orphans(folder) and time.monotonic() < end:
        time.sleep(0.2)
    return len(left)


def _bury(folder: Path) -> None:
    """Give who comes after the last kill the time to find out that others are dead."""
    end = time.monotonic() + 10 * SWEEP_S
    while any(owner_is_dead(lock) for lock in (folder / "workers").glob("*.lock")) and time.monotonic() < end:
        time.sleep(0.2)


def judge(ids: list[str], states: dict[str, str], storm: Storm, calm_at_s: float, found: dict[str, Any]) -> int:
    """Print what happened; 0 if every accepted job succeeded, once, and nothing is left behind."""
    ends = service.recorded(storm.server.data_dir)
    records = Counter(diagnosis_id for diagnosis_id, _ in ends)
    survivors, files = storm.server.survivors(), service.leftovers(storm.server.data_dir)
    unswept = [path.name for path in service.orphans(storm.server.data_dir)]
    recovery = {kind: f"{statistics.median(times):.1f} / {max(times):.1f}" for kind, times in storm.recovery_s.items()}
    rows = {
        "jobs accepted": len(set(ids)),
        "jobs by state at the end": dict(Counter(states.values())),
        "  ended while processes were being killed": sum(at < calm_at_s for _, at in ends),
        "ends recorded exactly once, more than once": (
            sum(count == 1 for count in records.values()),
            sum(count > 1 for count in records.values()),
        ),
        "killed": {**storm.killed, "all": storm.killed.total()},
        "seconds until it answered again, median / most": recovery,
        "processes left": survivors,
        "files left": files + unswept,
        **found,
    }
    for name, value in rows.items():
        print(f"{name:<48}{value}")
    good = (
        set(ids) == set(states) == set(records)
        and set(states.values()) == {"succeeded"}
        and set(records.values()) == {1}
        and storm.killed.total() > 0
        and not (survivors or files or unswept or found["exit code of the server at the end"])
    )
    print("PASSED" if good else "FAILED")
    return 0 if good else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=4.0, help="mean seconds between kills")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds after which the killing ends, too")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raise SystemExit(run(asked.jobs, asked.kills, asked.seed, asked.pause, asked.limit, Path(folder)))


if __name__ == "__main__":
    main()
