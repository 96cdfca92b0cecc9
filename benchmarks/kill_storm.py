"""`kill -9` at random moments over a run of jobs, against a real server: does every accepted job end, and only once?

    python -m benchmarks.kill_storm --jobs 50 --seed 1

Victims are the web process, the worker, the zygote, a guest, and the supervisor itself, which is then started again.
Clients send an Idempotency-Key and try again when a connection breaks, as clients should. The evidence is the table of
settlements: one line for every end that was recorded.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
KINDS = ["web", "worker", "zygote", "guest", "guest", "supervisor"]
CLIENTS = 4
STORM_SHARE = 0.8
"""The storm lasts until this share of the jobs has ended: the rest shows that calm is enough to finish."""
STORM_LIMIT_S = 240.0
MAKE_MODEL = """
import sys, numpy as np, keras
keras.utils.set_random_seed(0)
layers = [keras.Input((16,))]
for _ in range(4):
    layers += [keras.layers.Dense(64), keras.layers.BatchNormalization(), keras.layers.ReLU()]
model = keras.Sequential([*layers, keras.layers.Dense(3, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
x = np.random.default_rng(0).normal(3, 2, (512, 16)).astype("float32")
y = (x[:, 0] > 3).astype("int64")
model.fit(x, y, epochs=2, verbose=0)
model.save(sys.argv[1] + "/model.keras")
np.savez(sys.argv[1] + "/batch.npz", x=x, y=y)
"""


class Service:
    """The server under attack."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir = data_dir
        self.port = port
        self.seen: dict[int, float] = {}
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "app.cli", "serve", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        log = (self.data_dir / "server.log").open("ab")
        environment = os.environ | {"PHASEGAP_SLOTS": "2"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().split(b" (")[0].rpartition(b":")[2])

    def tree(self) -> dict[str, list[psutil.Process]]:
        """Who is alive, by what it is: known by its place below the supervisor."""
        supervisor = psutil.Process(self.process.pid)
        found: dict[str, list[psutil.Process]] = {"supervisor": [supervisor], "web": [], "worker": []}
        for child in supervisor.children():
            found["web" if " web " in " ".join(child.cmdline()) else "worker"].append(child)
        found["zygote"] = [process for worker in found["worker"] for process in worker.children()]
        found["guest"] = [process for zygote in found["zygote"] for process in zygote.children()]
        for processes in found.values():
            self.seen.update({process.pid: process.create_time() for process in processes})
        return found

    def survivors(self) -> list[int]:
        """Processes of the service that outlived it."""
        return [pid for pid, born in self.seen.items() if psutil.pid_exists(pid) and _born(pid) == born]


def _born(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


class Storm:
    """Kills somebody every now and then."""

    def __init__(self, service: Service, rng: random.Random, pause_s: float) -> None:
        self.service = service
        self.rng = rng
        self.pause_s = pause_s
        self.killed: Counter[str] = Counter()
        self.calm = threading.Event()
        self.thread = threading.Thread(target=self._rage, daemon=True)

    def _rage(self) -> None:
        bag: list[str] = []
        while not self.calm.wait(self.rng.uniform(0.2, 1.8) * self.pause_s):
            bag = bag or self.rng.sample(KINDS, len(KINDS))  # all kinds equally often, in random order
            kind = bag.pop()
            if self._strike(kind):
                self.killed[kind] += 1
            if kind == "supervisor":
                self.service.process.wait()
                self.service.start()

    def _strike(self, kind: str) -> bool:
        """Kill one of a kind; for guests, lie in wait for one."""
        end = time.monotonic() + 5
        while time.monotonic() < end and not self.calm.is_set():
            try:
                victims = self.service.tree()[kind]
                if victims:
                    time.sleep(self.rng.uniform(0, 0.3))
                    self.rng.choice(victims).kill()
                    return True
            except psutil.NoSuchProcess:
                pass
            time.sleep(0.01)
        return False


def submit(service: Service, model: bytes, batch: bytes, number: int, base: str) -> str:
    """Send one job until it is accepted."""
    while True:
        try:
            files = {"model": ("model.keras", model), "batch": ("batch.npz", batch)}
            headers = {"Idempotency-Key": f"storm-{number}", "Prefer": "respond-async"}
            answer = httpx.post(
                f"{base}/diagnose", files=files, headers=headers, timeout=30, data={"seed": str(number)}
            )
            if answer.status_code in (200, 202):
                return str(answer.json()["id"])
            if answer.headers.get("location"):
                return str(answer.json()["id"])  # accepted before, and ended in an error since
        except httpx.HTTPError:
            pass
        time.sleep(0.2)


def wait_for_all(base: str, ids: list[str], limit_s: float) -> dict[str, dict[str, object]]:
    """The jobs as they ended, or as they are when the time is up."""
    jobs: dict[str, dict[str, object]] = {}
    end = time.monotonic() + limit_s
    while time.monotonic() < end and len(jobs) < len(ids):
        for diagnosis_id in ids:
            if diagnosis_id in jobs:
                continue
            try:
                job = httpx.get(f"{base}/diagnoses/{diagnosis_id}", timeout=30).json()
            except (httpx.HTTPError, ValueError):
                break
            if job.get("status") in ("succeeded", "failed", "cancelled"):
                jobs[diagnosis_id] = job
        time.sleep(0.2)
    return jobs


def outcome(job: dict[str, object]) -> str:
    error = job.get("error")
    return f"{job['status']}: {error['code']}" if isinstance(error, dict) else str(job["status"])


def recorded(data_dir: Path) -> list[tuple[str, float]]:
    """Every end that was recorded: the diagnosis and when."""
    with sqlite3.connect(data_dir / "phasegap.sqlite") as database:
        return list(database.execute("SELECT diagnosis_id, at FROM settlements"))


def leftovers(data_dir: Path) -> list[str]:
    folders = (data_dir / "scratch", data_dir / "blobs" / "incoming")
    return [str(path) for folder in folders if folder.exists() for path in folder.rglob("*") if path.is_file()]


def run(jobs: int, seed: int, pause_s: float, folder: Path) -> int:
    subprocess.run([sys.executable, "-c", MAKE_MODEL, str(folder)], check=True, stderr=subprocess.DEVNULL)
    model, batch = (folder / "model.keras").read_bytes(), (folder / "batch.npz").read_bytes()
    service = Service(folder, 0)
    base, started_s = f"http://127.0.0.1:{service.port}", time.monotonic()
    storm = Storm(service, random.Random(seed), pause_s)
    storm.thread.start()
    with ThreadPoolExecutor(CLIENTS) as clients:
        ids = list(clients.map(lambda number: submit(service, model, batch, number, base), range(jobs)))
    end = time.monotonic() + STORM_LIMIT_S
    while len(recorded(folder)) < STORM_SHARE * jobs and time.monotonic() < end:
        time.sleep(0.5)
    storm.calm.set()
    storm.thread.join()
    calm_at_s = time.time()
    ended = wait_for_all(base, ids, 300.0)
    seconds = time.monotonic() - started_s
    service.tree()
    service.process.terminate()
    exit_code = service.process.wait(60)
    return judge(ids, ended, storm, calm_at_s, seconds, exit_code)


def judge(
    ids: list[str], ended: dict[str, dict[str, object]], storm: Storm, calm_at_s: float, seconds: float, exit_code: int
) -> int:
    """Print what happened; 0 if every accepted job ended, once, and nothing is left behind."""
    ends = recorded(storm.service.data_dir)
    records = Counter(diagnosis_id for diagnosis_id, _ in ends)
    once = [i for i in ids if records[i] == 1]
    time.sleep(1.0)
    survivors, files = storm.service.survivors(), leftovers(storm.service.data_dir)
    rows = {
        "jobs accepted": len(set(ids)),
        "jobs ended": len(ended),
        "  of these while processes were being killed": sum(at < calm_at_s for _, at in ends),
        "ends recorded exactly once": len(once),
        "ends recorded more than once": sum(count > 1 for count in records.values()),
        "runs that were started again": sum(int(str(job["attempt"])) - 1 for job in ended.values()),
        "outcomes": dict(Counter(outcome(job) for job in ended.values())),
        "killed": dict(storm.killed),
        "exit code of the server at the end": exit_code,
        "processes left": survivors,
        "files left": files,
        "seconds": round(seconds, 1),
    }
    for name, value in rows.items():
        print(f"{name:<48}{value}")
    good = len(set(ids)) == len(ended) == len(once) == len(records) and not survivors and not files and exit_code == 0
    print("PASSED" if good else "FAILED")
    return 0 if good else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=6.0, help="mean seconds between kills")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raise SystemExit(run(options.jobs, options.seed, options.pause, Path(folder)))


if __name__ == "__main__":
    main()
