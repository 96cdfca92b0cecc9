"""How quickly a server says that it lives: a request every 50 ms, on time whatever became of the one before.

`python -m benchmarks.probe URL` samples until its standard input ends, then prints JSON: seconds and statuses by path.
A program of its own, so that what loads the server does not slow the clock that times it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx

PATHS = ("/health/live", "/health/ready")
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 10.0
"""An answer later than that counts as one of that time, with status 0."""


@dataclass
class Samples:
    """What was measured of one path."""

    seconds: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """The time within which this share of the requests was answered, in seconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Probe:
    """The other end: a running sampler."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "benchmarks.probe", url]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parent.parent
        )

    def finish(self) -> dict[str, Samples]:
        """Stop it; what it measured, by path."""
        told, _ = self._process.communicate(timeout=60)
        return {path: Samples(**found) for path, found in json.loads(told).items()}


async def _sample(client: httpx.AsyncClient, path: str, found: Samples) -> None:
    began, status = time.perf_counter(), 0
    with contextlib.suppress(httpx.HTTPError):
        status = (await client.get(path)).status_code
    found.seconds.append(time.perf_counter() - began)
    found.statuses.append(status)


async def _measure(url: str) -> dict[str, Any]:
    found = {path: Samples() for path in PATHS}
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    under_way: set[asyncio.Task[None]] = set()
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as client:
        due = time.perf_counter()
        while not ended.done():
            for path in PATHS:
                task = asyncio.create_task(_sample(client, path, found[path]))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            due += PAUSE_SECONDS
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await asyncio.gather(*under_way)
    return {path: vars(samples) for path, samples in found.items()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measure(sys.argv[1]))))
