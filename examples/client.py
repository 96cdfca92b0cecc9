"""A small client of the service on the standard library alone: submit, follow, fetch.

    with Server() as server:
        diagnosis = server.submit(model, batch)
        report = server.follow(diagnosis, print)

Files are streamed from disk. `Server` starts `phasegap serve` on a free port with a data folder that it removes again.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHUNK = 1 << 20
BOUNDARY = "phasegap-example-boundary"
START_SECONDS = 180.0  # importing TensorFlow from a cold disk takes most of it
POLL_SECONDS = 0.2


class ServiceError(Exception):
    """The service answered with a problem, or did not start."""


class Client:
    """Speaks HTTP to a running service."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    def submit(self, model: Path, batch: Path, prefer: str = "respond-async", **fields: str) -> dict[str, Any]:
        """Send model and batch; returns the job, or with `prefer="wait=N"` the report if it is done by then."""
        parts = [_field(name, value) for name, value in fields.items()]
        parts += [_file("model", model), _file("batch", batch)]
        length = sum(len(head) + (path.stat().st_size if path else 0) + 2 for head, path in parts) + len(_end())
        headers = {
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Content-Length": str(length),
            "Prefer": prefer,
        }
        return self._json("POST", "/diagnose", _stream(parts), headers)

    def follow(self, job: dict[str, Any], tell: Callable[[str, float], None] = lambda stage, fraction: None) -> Any:
        """Wait until the job ends, telling each stage; returns the report."""
        while job["status"] in ("queued", "running"):
            progress = job.get("progress") or {}
            tell(progress.get("stage") or job["status"], float(progress.get("fraction") or 0.0))
            time.sleep(POLL_SECONDS)
            job = self.get(f"/diagnoses/{job['id']}")
        if job["status"] != "succeeded":
            raise ServiceError(f"the diagnosis {job['status']}: {(job.get('error') or {}).get('detail', '')}")
        return job["report"]

    def get(self, path: str) -> dict[str, Any]:
        """One JSON answer."""
        return self._json("GET", path, None, {"Accept": "application/json"})

    def download(self, path: str, target: Path) -> Path:
        """Save an answer's body to a file."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=600)
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            raise ServiceError(f"GET {path}: {answer.status} {answer.read(2000).decode(errors='replace')}")
        with target.open("wb") as out:
            shutil.copyfileobj(answer, out, CHUNK)
        connection.close()
        return target

    def _json(self, method: str, path: str, body: Iterator[bytes] | None, headers: dict[str, str]) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=600)
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status >= 400:
            raise ServiceError(f"{method} {path}: {answer.status} {text}")
        return dict(json.loads(text))


Part = tuple[bytes, Path | None]


def _field(name: str, value: str) -> Part:
    return _head(f'name="{name}"') + value.encode(), None


def _file(name: str, path: Path) -> Part:
    return _head(f'name="{name}"; filename="{path.name}"', "application/octet-stream"), path


def _head(disposition: str, content_type: str | None = None) -> bytes:
    kind = f"\r\nContent-Type: {content_type}" if content_type else ""
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}{kind}\r\n\r\n".encode()


def _end() -> bytes:
    return f"--{BOUNDARY}--\r\n".encode()


def _stream(parts: list[Part]) -> Iterator[bytes]:
    for head, path in parts:
        yield head
        if path:
            with path.open("rb") as source:
                yield from iter(lambda: source.read(CHUNK), b"")
        yield b"\r\n"
    yield _end()


class Server(Client):
    """`phasegap serve` on a free port of this machine, for as long as the block lasts."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", _free_port())
        self._folder = Path(tempfile.mkdtemp(prefix="phasegap-"))

    def __enter__(self) -> Self:
        command = [str(Path(sys.executable).with_name("phasegap")), "serve", "--host", self.host]
        command += ["--port", str(self.port), "--data-dir", str(self._folder / "data")]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self.exit_status = self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self.exit_status = self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.get("/health/ready")
            except (OSError, http.client.HTTPException, ServiceError):
                time.sleep(POLL_SECONDS)
            else:
                return
        log = (self._folder / "log").read_text(errors="replace")[-3000:]
        raise ServiceError(f"the service did not start; the end of its log:\n{log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
