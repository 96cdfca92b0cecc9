"""Many clients post a small real model, more than the server can run: what do they get, and does it stay quick?

    python -m benchmarks.load --clients 64 --seconds 300

Half of the clients wait as long as `Retry-After` says, half come back at once. Beside them `benchmarks.probe` asks for
the health every 50 ms. It passes where only 200, 202, 429 and 503 come, both health checks answer within 200 ms 99
times in 100, web and worker end with about the memory that they had, every accepted job ends, and no file and no
process is left.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
import psutil

from benchmarks import service
from benchmarks.probe import Probe, Samples

EXPECTED = (200, 202, 429, 503)
HEALTH_SECONDS = 0.2
GROWTH_BYTES = 100 << 20
"""What web and worker may have gained at the end: pools, caches, threads, none of it without end."""

QUEUE_LIMIT_JOBS = 10
"""Low enough that these clients reach it."""

PREFERENCES = ("respond-async", "wait=1", "wait=5")
RUDE_PAUSE_SECONDS = 0.3
DRAIN_SECONDS = 240.0
"""How long what was accepted may take to end when the clients have gone."""


@dataclass
class Answers:
    """What the clients were told."""

    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    accepted: set[str] = field(default_factory=set)
    odd: list[str] = field(default_factory=list)

    def add(self, answer: httpx.Response) -> None:
        """Count one."""
        self.statuses[answer.status_code] += 1
        if answer.status_code not in EXPECTED:
            self.odd.append(f"{answer.status_code} {answer.text[:200]}")
        if answer.status_code in (200, 202):
            self.accepted.add(answer.json()["id"])
        else:
            self.codes[answer.json().get("code", "none")] += 1


class Memory:
    """Resident memory of web and worker, looked at every half second. In bytes, by process."""

    def __init__(self, server: service.Service) -> None:
        self._server = server
        self._ended = threading.Event()
        self.seen: dict[str, list[int]] = {"web": [], "worker": []}
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(0.5):
            try:
                tree = self._server.tree()
                for name, sizes in self.seen.items():
                    sizes.append(sum(process.memory_info().rss for process in tree[name]))
            except psutil.NoSuchProcess:
                continue

    def finish(self) -> None:
        self._ended.set()
        self._thread.join()


async def _client(url: str, number: int, files: tuple[bytes, bytes], end: float, answers: Answers) -> None:
    """One client until the time is up: post, read the answer, pause, again."""
    draw = random.Random(number)
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        while time.monotonic() < end:
            sent = {"model": ("small.keras", files[0]), "batch": ("small.npz", files[1])}
            try:
                answer = await client.post("/diagnose", files=sent, headers={"Prefer": draw.choice(PREFERENCES)})
            except httpx.HTTPError as error:
                answers.odd.append(repr(error))
                continue
            answers.add(answer)
            polite = number % 2 == 0 and answer.status_code in (429, 503)
            pause = float(answer.headers.get("retry-after", 1)) if polite else draw.uniform(0, 2 * RUDE_PAUSE_SECONDS)
            await asyncio.sleep(min(pause, max(0.0, end - time.monotonic())))


async def _crowd(url: str, clients: int, seconds: float, files: tuple[bytes, bytes]) -> Answers:
    answers, end = Answers(), time.monotonic() + seconds
    await asyncio.gather(*(_client(url, number, files, end, answers) for number in range(clients)))
    return answers


@dataclass
class Result:
    """Everything that was found out."""

    answers: Answers
    health: dict[str, Samples]
    memory: dict[str, list[int]]
    states: dict[str, str]
    files: list[str]
    processes: list[int]
    exit_code: int

    def failures(self, health_seconds: float = HEALTH_SECONDS) -> list[str]:
        """What did not hold, in words."""
        lost = [i for i in self.answers.accepted if self.states.get(i) not in service.ENDED]
        open_rows = [i for i, state in self.states.items() if state not in service.ENDED]
        slow = [p for p, samples in self.health.items() if samples.percentile(0.99) > health_seconds]
        sick = [p for p, samples in self.health.items() if set(samples.statuses) != {200}]
        grown = [name for name, sizes in self.memory.items() if sizes[-1] - sizes[0] > GROWTH_BYTES]
        held = {
            f"other answers: {self.answers.odd[:3]}": self.answers.odd,
            f"accepted and not ended: {lost + open_rows}": lost + open_rows,
            f"p99 over {health_seconds} s: {slow}": slow,
            f"not healthy at all times: {sick}": sick,
            f"memory grew: {grown}": grown,
            f"files left: {self.files[:3]}": self.files,
            f"processes left: {self.processes}": self.processes,
            f"exit code {self.exit_code}": self.exit_code,
        }
        return [words for words, found in held.items() if found]

    def table(self) -> str:
        """What came, for people."""
        rows = {"answers": dict(self.answers.statuses), "refusals": dict(self.answers.codes)}
        rows |= {"accepted": len(self.answers.accepted), "ended": dict(Counter(self.states.values()))}
        for path, samples in self.health.items():
            marks = " / ".join(f"{1e3 * samples.percentile(share):.0f}" for share in (0.5, 0.99, 0.999, 1.0))
            rows[f"{path}, ms: p50 / p99 / p99.9 / most"] = f"{marks} of {len(samples.seconds)} samples"
        for name, sizes in self.memory.items():
            rows[f"memory of {name}, MiB: start / peak / end"] = " / ".join(
                f"{size >> 20}" for size in (sizes[0], max(sizes), sizes[-1])
            )
        return "\n".join(f"{name:<46}{value}" for name, value in rows.items())


def run(clients: int, seconds: float, server: service.Service, files: tuple[bytes, bytes]) -> Result:
    """Load the server for so long, and see it through to its end."""
    folder = server.data_dir
    _until_ready(server.url)
    memory, probe = Memory(server), Probe(server.url)
    answers = asyncio.run(_crowd(server.url, clients, seconds, files))
    health = probe.finish()
    states = service.wait_until_all_ended(folder, DRAIN_SECONDS)
    time.sleep(1.5)
    memory.finish()
    exit_code = server.stop()
    time.sleep(0.5)
    return Result(answers, health, memory.seen, states, service.leftovers(folder), server.survivors(), exit_code)


def _until_ready(url: str) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            if httpx.get(f"{url}/health/ready", timeout=10).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the server was not ready within two minutes")


def main() -> None:
    """Print the table; ends with 1 where anything did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=300.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = service.uploads(Path(folder))
        server = service.Service(Path(folder), slots=2, queue_limit_jobs=QUEUE_LIMIT_JOBS)
        result = run(asked.clients, asked.seconds, server, files)
    print(result.table())
    print(f"load average of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    failures = result.failures()
    print("\n".join(failures) or "PASSED")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
