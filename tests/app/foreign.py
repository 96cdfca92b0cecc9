"""Servers of others for slow tests, each in an environment of its own: MLflow and moto pin what DBOS cannot have."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx

START_SECONDS = 180.0


def environment(folder: Path, *packages: str) -> Path:
    """A virtual environment with these packages; returns its interpreter."""
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), *packages], check=True)
    return python


@contextmanager
def running(command: list[str], folder: Path, health: str) -> Iterator[str]:
    """A server on a free port of loopback, `{port}` in its command; gives its address once `health` answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        environ = os.environ | {"PATH": f"{Path(command[0]).parent}:{os.environ['PATH']}"}
        full = [part.format(port=port) for part in command]
        process = subprocess.Popen(full, cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        end_s = time.monotonic() + START_SECONDS
        while not _answers(url + health):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end_s, (folder / "log").read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code < 500
    except httpx.TransportError:
        return False
