"""Small models through the service: how long one takes, the same one again, and two hundred that wait.

    python -m benchmarks.small_jobs [--singles 20] [--pause 2.5] [--jobs 200]

A model of three batch-normalizing layers and 256 samples: sent now and then, as somebody at a notebook does, so that a
guest waits; one right after the other; and where no guest ever waits. Beside the service the same diagnoses run in one
plain Python loop, in this process, warm: what is the service's own is the difference.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import httpx2 as httpx
import numpy as np

from benchmarks.service import Service

SAMPLES, FEATURES, WIDTH = 256, 16, 32


def write(folder: Path) -> tuple[Path, Path]:
    """A network after a few steps, whose statistics lag, and its batch."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = x = keras.layers.Input((FEATURES,))
    for _ in range(3):
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Dense(WIDTH)(x)))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    draw = np.random.default_rng(0)
    x_values = draw.normal(3.0, 2.0, (SAMPLES, FEATURES)).astype("float32")
    y_values = (x_values[:, :3]).argmax(axis=1)
    model.fit(x_values, y_values, epochs=2, batch_size=64, verbose=0)
    model.save(folder / "model.keras")
    np.savez(folder / "batch.npz", x=x_values, y=y_values)
    return folder / "model.keras", folder / "batch.npz"


def seconds_of(action: Callable[[int], Any], count: int, pause_seconds: float = 0.0) -> list[float]:
    """Seconds of each of so many calls, after a warming one, so long after each other."""
    seconds = []
    for number in range(count + 1):
        time.sleep(pause_seconds)
        began = time.perf_counter()
        action(number)
        seconds.append(time.perf_counter() - began)
    return seconds[1:]


def in_a_loop(model: Path, batch: Path, count: int) -> list[float]:
    """Seconds of each of so many diagnoses in this process."""
    import analyzers

    repaired = model.with_name("repaired.keras")
    return seconds_of(lambda seed: analyzers.diagnose_files(model, batch, repaired_path=repaired, seed=seed), count)


class Poster:
    """Posts the pair of files, with a seed each so that no two are the same."""

    def __init__(self, url: str, model: Path, batch: Path) -> None:
        self.client = httpx.Client(base_url=url, timeout=600)
        self.model, self.batch = model.read_bytes(), batch.read_bytes()

    def __call__(self, seed: int, prefer: str = "wait=600") -> Any:
        files = {"model": ("model.keras", self.model), "batch": ("batch.npz", self.batch)}
        answer = self.client.post("/diagnose", files=files, data={"seed": str(seed)}, headers={"Prefer": prefer})
        answer.raise_for_status()
        return answer.json()


def drain(post: Poster, jobs: int) -> float:
    """Seconds from the first submission to the last end of so many jobs that wait together."""
    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        waiting = [job["id"] for job in pool.map(lambda n: post(10_000 + n, "respond-async"), range(jobs))]
    while waiting:
        if post.client.get(f"/diagnoses/{waiting[-1]}").json()["status"] in ("queued", "running"):
            time.sleep(0.1)
        else:
            waiting.pop()
    return time.perf_counter() - began


def without_spare(folder: Path, model: Path, batch: Path, count: int, settings: dict[str, Any]) -> float:
    """Seconds of one job where each has a guest forked for it; the median."""
    folder.mkdir()
    server = Service(folder, **settings, guest_threads=1, guest_spare=False)
    try:
        return statistics.median(seconds_of(Poster(server.url, model, batch), count))
    finally:
        server.stop()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--singles", type=int, default=20)
    parser.add_argument("--pause", type=float, default=2.5, help="seconds between two that are sent now and then")
    parser.add_argument("--jobs", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, batch = write(folder)
        settings = {"reuse_reports": True, "slots": os.cpu_count() or 1, "queue_limit_jobs": asked.jobs + 10}
        forked = without_spare(folder / "forked", model, batch, asked.singles, settings)
        print(f"... where no guest ever waits    {forked:7.3f} s (median of {asked.singles})")
        server = Service(folder, **settings, guest_threads=1)
        try:
            post = Poster(server.url, model, batch)
            single = statistics.median(seconds_of(post, asked.singles, asked.pause))
            row = statistics.median(seconds_of(lambda seed: post(1000 + seed), asked.singles))
            again = statistics.median(seconds_of(lambda _: post(0), asked.singles))
            print(f"POST /diagnose, now and then    {single:7.3f} s (median of {asked.singles})")
            print(f"... one right after the other   {row:7.3f} s")
            print(f"the same content again          {again:7.3f} s")
            seconds = drain(post, asked.jobs)
            print(f"{asked.jobs} jobs that wait together    {asked.jobs / seconds:7.2f} jobs/s")
        finally:
            server.stop()
        alone = in_a_loop(model, batch, asked.singles)
        loop, mean = statistics.median(alone), statistics.mean(alone)
        print(f"one in a plain Python loop      {loop:7.3f} s, {1 / mean:.2f} a second")
        print(f"service ÷ loop: latency {single / loop:.2f}, throughput {asked.jobs / seconds * mean:.2f}")


if __name__ == "__main__":
    main()
