"""What a bucket costs beside a folder: a large model posted, fetched by a worker, and a download, by turns.

    python -m benchmarks.store_cost --megabytes 100 --repeats 5

The bucket is moto's, an S3 server in Python on this machine that keeps everything in memory: its share of the time is
not that of a real store, whose network is missing here. Posting is timed to the answer 202, so it ends when the upload
is safe; the worker's fetch holds the file against its hash, where a folder gives a link. The web process' memory is
looked at every 20 ms.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.blobs.base import REPAIRED, Upload
from app.blobs.opening import open_blobs
from app.settings import Settings
from tests.app.bucket_served import BUCKET
from tests.app.double import script
from tests.app.moto import moto_served
from tests.app.served import Server
from tests.app.test_blobs import point_at

LOOK_SECONDS = 0.02
POSTS_AT_ONCE = 4


class Peak:
    """The largest resident size of a process while the block runs, and that at its begin, in bytes."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._over = process, threading.Event()
        self.before = self.most = process.memory_info().rss

    def __enter__(self) -> Peak:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.most = max(self.most, self._process.memory_info().rss)


def timed(call: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    call()
    return time.perf_counter() - began_s


def post(server: Server, model: bytes) -> str:
    answer = server.post(model, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def one_turn(server: Server, folder: Path, model: bytes) -> tuple[float, float]:
    """Seconds to post, and seconds until the worker has the model in its scratch folder."""
    found: list[str] = []
    posted_s = timed(lambda: found.append(post(server, model)))
    server.ended(found[0])
    blobs = open_blobs(settings_of(server))
    upload = Upload("model.keras", len(model), hashlib.sha256(model).hexdigest())
    fetched_s = timed(lambda: blobs.fetch_upload(found[0], upload, folder / found[0]))
    (folder / found[0]).unlink()
    server.client.delete(f"/diagnoses/{found[0]}")
    return posted_s, fetched_s


def settings_of(server: Server) -> Settings:
    return Settings(data_dir=server.data_dir, store_url=server.environment.get("PHASEGAP_STORE_URL"))


def download(server: Server, content: bytes) -> tuple[float, Peak]:
    """A repaired model of that size; it is put in the place of the script's few bytes."""
    found = server.submit(script(repaired=True))
    server.ended(found)
    with tempfile.NamedTemporaryFile(dir=server.data_dir, delete=False) as file:
        file.write(content)
    open_blobs(settings_of(server)).put_output(found, 1, REPAIRED, Path(file.name))
    got = hashlib.sha256()

    def take() -> None:
        with server.client.stream("GET", f"/diagnoses/{found}/model") as answer:
            for chunk in answer.iter_bytes():
                got.update(chunk)

    with Peak(server.child("web")) as peak:
        took_s = timed(take)
    assert got.digest() == hashlib.sha256(content).digest()
    return took_s, peak


def several(server: Server, model: bytes) -> Peak:
    with Peak(server.child("web")) as peak:
        posts = [threading.Thread(target=post, args=(server, model)) for _ in range(POSTS_AT_ONCE)]
        for one in posts:
            one.start()
        for one in posts:
            one.join()
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    model = script().ljust(asked.megabytes * 1_000_000)
    with (
        tempfile.TemporaryDirectory() as name,
        moto_served(Path(name) / "moto") as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        folder = Path(name)
        point_at(url, patch)
        servers = {
            "folder": Server(folder / "folder"),
            "bucket": Server(folder / "bucket", store_url=f"s3://{BUCKET}/cost"),
        }
        try:
            for server in servers.values():
                server.wait_ready()
            compare(servers, folder, model, asked.repeats)
        finally:
            for server in servers.values():
                server.stop()


def compare(servers: dict[str, Server], folder: Path, model: bytes, repeats: int) -> None:
    turns: dict[str, list[tuple[float, float]]] = {kind: [] for kind in servers}
    for _ in range(repeats):
        for kind, server in servers.items():
            turns[kind].append(one_turn(server, folder, model))
    for kind, server in servers.items():
        posts, fetches = zip(*turns[kind], strict=True)
        took_s, down = download(server, model)
        up = several(server, model)
        print(
            f"{kind}: post {_spread(posts)}, fetch {_spread(fetches)}, download {took_s:.2f} s; the web process held "
            f"{_mib(down.before)} MiB, at most {_mib(down.most)} in the download and {_mib(up.most)} in "
            f"{POSTS_AT_ONCE} posts at once"
        )


def _spread(seconds: tuple[float, ...]) -> str:
    return f"{statistics.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f})"


def _mib(size_bytes: int) -> int:
    return size_bytes >> 20


if __name__ == "__main__":
    main()
