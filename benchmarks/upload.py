"""How fast a large upload is taken in: `python -m benchmarks.upload [--megabytes 1000] [--rounds 4]`.

curl sends the same form to the service and, by turns, to a bare sink: a program that reads from a socket and writes to
a file, and makes it durable as the service does. Both keep what they get: on a virtual machine memory that was never
used before is dear, and a sink that writes over its last file would be given what it just gave back. Printed: the
median rates, their ratio, and how much more memory the web process took meanwhile.
"""

from __future__ import annotations

import argparse
import itertools
import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.service import Service

PIECE_BYTES = 1 << 20


class Sink:
    """Takes one connection after the other, writes each to a file, and answers when the body has ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        for number in itertools.count():
            connection, _ = self._socket.accept()
            with connection, Path(self._folder, f"sunk-{number}").open("xb") as file:
                self._take(connection, file.fileno())

    @staticmethod
    def _take(connection: socket.socket, file: int) -> None:
        head, _, rest = connection.recv(1 << 16).partition(b"\r\n\r\n")
        length = next(int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length"))
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        taken = os.write(file, rest) if rest else 0
        buffer = bytearray(PIECE_BYTES)
        while taken < length:
            got = connection.recv_into(buffer)
            os.write(file, memoryview(buffer)[:got])
            taken += got
        os.fsync(file)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def send(url: str, model: Path, batch: Path) -> float:
    """Seconds that curl takes."""
    command = ["curl", "-sS", "-o", "/dev/null", "-H", "Prefer: respond-async"]
    began = time.perf_counter()
    subprocess.run([*command, "-F", f"model=@{model}", "-F", f"batch=@{batch}", url], check=True)
    return time.perf_counter() - began


class Memory:
    """The most that a process holds, sampled all the time."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._stop = process, threading.Event()
        self.first = self.most = process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.most = max(self.most, self._process.memory_info().rss)


def write(path: Path, megabytes: int) -> None:
    """A file that begins as models and batches do, and goes on with noise."""
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=4)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, batch, tiny = (folder / name for name in ("model.keras", "batch.npz", "tiny.keras"))
        for path, megabytes in ((model, asked.megabytes), (batch, 0), (tiny, 0)):
            write(path, megabytes)
        sink = Sink(folder)
        (folder / "data").mkdir()
        service = Service(folder / "data")
        try:
            url = f"{service.url}/diagnose"
            send(url, tiny, batch)  # the first request of a process is slow
            web = service.tree()["web"][0]
            pairs = []
            with Memory(web) as memory:
                for number in range(asked.rounds):
                    order = (url, sink.url) if number % 2 else (sink.url, url)
                    took = {address: send(address, model, batch) for address in order}
                    pairs.append((took[sink.url], took[url]))
        finally:
            service.stop()
    sunk, taken = (asked.megabytes / statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(first / second for first, second in pairs)
    print(f"bare sink   {sunk:7.0f} MB/s (median of {asked.rounds})")
    print(f"service     {taken:7.0f} MB/s, {ratio:.2f} of it (median of the pairs)")
    print(f"web process {(memory.most - memory.first) / 2**20:7.1f} MiB more memory meanwhile")


if __name__ == "__main__":
    main()
