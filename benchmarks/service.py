"""A real server to attack or to load: its processes by what they are, its records, what it leaves behind.

`python -m benchmarks.service FOLDER` writes the small real model and batch that are sent to it.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
TEMPORARY = "tmp"
"""The server's own folder for temporary files, in its data folder, so that what is left there is seen."""

ENDED = ("succeeded", "failed", "cancelled")


def write_uploads(folder: Path) -> None:
    """Train and save a small model with four batch-normalizing layers, and a batch for it."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    layers = [keras.Input((16,))]
    for _ in range(4):
        layers += [keras.layers.Dense(64), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    model = keras.Sequential([*layers, keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = np.random.default_rng(0).normal(3, 2, (64, 16)).astype("float32")
    y = (x[:, 0] > 3).astype("int64")
    model.fit(x, y, epochs=2, verbose=0)
    model.save(folder / "model.keras")
    np.savez(folder / "batch.npz", x=x, y=y)


def uploads(folder: Path) -> tuple[bytes, bytes]:
    """Model and batch, written by a process of its own where they are not there: who measures needs no TensorFlow."""
    if not (folder / "batch.npz").exists():
        command = [sys.executable, "-m", "benchmarks.service", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    return (folder / "model.keras").read_bytes(), (folder / "batch.npz").read_bytes()


class Service:
    """The server. Settings are given by their names, such as `slots=2`. Its log is in `server.log` in its folder."""

    def __init__(self, folder: Path, port: int = 0, **settings: Any) -> None:
        self.data_dir = folder
        self.port = port
        settings = {"reuse_reports": False} | settings  # what is sent again is to be run again
        self.environment = os.environ | {f"PHASEGAP_{name.upper()}": str(value) for name, value in settings.items()}
        (folder / TEMPORARY).mkdir(exist_ok=True)
        self.environment["TMPDIR"] = str(folder / TEMPORARY)
        self.seen: dict[int, float] = {}
        self.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """What is started."""
        return [sys.executable, "-m", "app.cli", "serve", "--port", str(self.port), "--data-dir", str(self.data_dir)]

    def start(self) -> None:
        """Start it, or start it again on the same port."""
        while not (line := self._started()):
            self.process.wait()  # the port is held by one who is just dying, on a machine too busy to see to it
        self.port = int(line.split(b" (")[0].rpartition(b":")[2])

    def _started(self) -> bytes:
        """Start it once; what it says of its address, nothing where it could not listen."""
        with (self.data_dir / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def stop(self) -> int:
        """End it in order; its exit code."""
        self.tree()
        self.process.terminate()
        return self.process.wait(60)

    def tree(self) -> dict[str, list[psutil.Process]]:
        """Who is alive, by what it is: known by its place below the supervisor."""
        supervisor = psutil.Process(self.process.pid)
        found: dict[str, list[psutil.Process]] = {"supervisor": [supervisor], "web": [], "worker": []}
        for child in supervisor.children():
            with suppress(psutil.NoSuchProcess):  # it was killed just now
                found["web" if " web " in " ".join(child.cmdline()) else "worker"].append(child)
        found["zygote"] = [process for worker in found["worker"] for process in worker.children()]
        found["guest"] = [process for zygote in found["zygote"] for process in zygote.children()]
        for processes in found.values():
            self.seen.update({process.pid: process.create_time() for process in processes})
        return found

    def survivors(self) -> list[int]:
        """Processes of the service that outlived it."""
        return [pid for pid, born in self.seen.items() if _born(pid) == born]


def _born(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


def recorded(data_dir: Path) -> list[tuple[str, float]]:
    """Every end that was recorded: the diagnosis and when, in seconds since 1970."""
    with sqlite3.connect(data_dir / "phasegap.sqlite", timeout=30) as database:
        return list(database.execute("SELECT diagnosis_id, at FROM settlements"))


def states(data_dir: Path) -> dict[str, str]:
    """Every diagnosis that was accepted, and its state."""
    with sqlite3.connect(data_dir / "phasegap.sqlite", timeout=30) as database:
        return dict(database.execute("SELECT id, status FROM diagnoses"))


def wait_until_all_ended(data_dir: Path, limit_seconds: float) -> dict[str, str]:
    """The diagnoses' states when all have ended, or when the time is up."""
    end = time.monotonic() + limit_seconds
    while time.monotonic() < end and any(state not in ENDED for state in states(data_dir).values()):
        time.sleep(0.25)
    return states(data_dir)


def leftovers(data_dir: Path) -> list[str]:
    """Files and folders of uploads that were not accepted, of runs that are over, of processes that are gone."""
    folders = (data_dir / "scratch", data_dir / "blobs" / "incoming", data_dir / "workers", data_dir / TEMPORARY)
    return [str(path.relative_to(data_dir)) for folder in folders if folder.exists() for path in folder.rglob("*")]


def orphans(data_dir: Path) -> list[Path]:
    """Uploads without a diagnosis: what a kill between file and row leaves until the sweep."""
    known = states(data_dir)
    return [path for path in (data_dir / "blobs" / "diagnoses").iterdir() if path.name not in known]


if __name__ == "__main__":
    write_uploads(Path(sys.argv[1]))
