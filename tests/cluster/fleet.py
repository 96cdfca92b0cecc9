"""Two hosts and a database under load: jobs sent as clients should, faults timed, and what must hold afterwards."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.app.double import script
from tests.cluster.hosts import Host, Network
from tests.cluster.postgres import Postgres

JOBS = 200
CLIENTS = 6
SHORT_S, LONG_S = 1.0, 3.0
"""What jobs take. A host is struck while it runs a long one."""
LONG_EVERY = 10
FRESH_S = 1.0
"""How long ago such a job may have begun by then: the rest of it is time enough to look, and to strike."""
LEASE_S = 4.0
SLACK_S = 10.0
"""What recovery may take beyond the lease."""
ENDED = ("succeeded", "failed", "cancelled")
SETTINGS: dict[str, Any] = {
    "reconcile_seconds": 0.5,
    "heartbeat_seconds": 0.5,
    "cancel_poll_seconds": 0.2,
    "lease_seconds": LEASE_S,
    "slots": 4,
    "queue_limit_jobs": 2 * JOBS,
    "submissions_per_minute_limit": 0,
    "sweep_seconds": 1.0,
    "isolation_required": "none",
}


class Fleet:
    """`host-a`, `host-b`, their network and database. `skew` is how far ahead the clock of `host-b` is, in seconds."""

    def __init__(self, network: Network, postgres: Postgres, folder: Path, skew: int = 0) -> None:
        self.postgres = postgres
        shared = folder / "shared"
        shared.mkdir(mode=0o700)
        options = SETTINGS | {"database_url": postgres.url}
        self.a = Host(network, "host-a", folder, shared, guest_uid_base=60800, **options)
        self.b = Host(network, "host-b", folder, shared, skew, guest_uid_base=60900, **options)
        self.hosts = [self.a, self.b]
        self.ids: list[str] = []
        self._long: set[str] = set()
        self._accepted = threading.Lock()

    def ready(self) -> Fleet:
        """Wait until both answer and both have a worker."""
        for host in self.hosts:
            host.wait_ready()
        self.until(lambda: {row[0] for row in self.rows("SELECT host FROM workers")} == {"host-a", "host-b"}, 60)
        return self

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.postgres.rows(query)

    def until(self, condition: Callable[[], bool], seconds: float) -> float:
        """Wait for it; the seconds that it took."""
        began_s = time.monotonic()
        while time.monotonic() < began_s + seconds:
            if condition():
                return time.monotonic() - began_s
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds:g} s\n" + "\n".join(host.tail() for host in self.hosts))

    def send(self, numbers: Iterable[int]) -> None:
        """Submit so many, by several clients, each to the one host and, where it does not answer, to the other."""
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(self._submit, numbers))

    def _submit(self, number: int) -> None:
        """The same key again until there is an answer."""
        headers = {"Idempotency-Key": f"job-{number}", "Prefer": "respond-async"}
        is_long = number % LONG_EVERY == 0
        seconds = LONG_S if is_long else SHORT_S
        model, end_s, turn = script(seconds=seconds, name=f"n{number}"), time.monotonic() + 120, number
        while time.monotonic() < end_s:
            turn += 1
            try:
                answer = self.hosts[turn % 2].post(model, headers=headers)
                if answer.status_code in (200, 202):
                    with self._accepted:
                        self.ids.append(str(answer.json()["id"]))
                        self._long |= {self.ids[-1]} if is_long else set()
                    return
                assert answer.status_code in (429, 500, 503), answer.text
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"job {number} was not accepted within two minutes")

    def held_by(self, host: str) -> dict[str, int]:
        """Runs that workers of a host hold: diagnosis and attempt."""
        query = (
            "SELECT d.id, d.attempt FROM diagnoses d JOIN workers w ON w.id = d.worker_id"
            f" WHERE w.host = '{host}' AND d.status = 'running'"
        )
        return {row[0]: row[1] for row in self.rows(query)}

    def just_begun(self, host: str) -> set[str]:
        """Long jobs that a worker of a host has begun to run just now."""
        query = (
            "SELECT diagnosis_id FROM events WHERE kind = 'running'"
            f" AND at > extract(epoch FROM clock_timestamp()) - {FRESH_S}"
        )
        return self._long & self.held_by(host).keys() & {row[0] for row in self.rows(query)}

    def ended(self) -> set[str]:
        """Jobs that have ended."""
        return {row[0] for row in self.rows("SELECT id FROM diagnoses WHERE finished_at IS NOT NULL")}

    def workers_of(self, host: str) -> set[str]:
        """The ids of a host's workers."""
        return {row[0] for row in self.rows(f"SELECT id FROM workers WHERE host = '{host}'")}

    def works_anew(self, host: str, before: set[str]) -> bool:
        """Whether a worker of a host that was not there before runs a job."""
        running = {row[0] for row in self.rows("SELECT worker_id FROM diagnoses WHERE status = 'running'")}
        return bool(running & (self.workers_of(host) - before))

    def are_given_back(self, held: dict[str, int]) -> bool:
        """Whether each of these runs has been put back, or its job has ended."""
        found = {row[0]: row[1:] for row in self.rows("SELECT id, attempt, status FROM diagnoses")}
        return all(found[job][0] > attempt or found[job][1] in ENDED for job, attempt in held.items())

    def all_end_once(self, seconds: float = 120) -> None:
        """Every accepted job succeeds, with one settlement, and nothing is left of any run."""
        assert len(set(self.ids)) == JOBS
        self.until(lambda: not self.rows("SELECT 1 FROM diagnoses WHERE status IN ('queued', 'running')"), seconds)
        ended = self.rows("SELECT id, attempt, error_code, error_detail FROM diagnoses WHERE status <> 'succeeded'")
        assert ended == [], ended  # pytest shows nothing by itself of what is no test module
        counts = dict(self.rows("SELECT status, count(*) FROM diagnoses GROUP BY status"))
        assert counts == {"succeeded": JOBS}, counts
        assert Counter(row[0] for row in self.rows("SELECT diagnosis_id FROM settlements")) == Counter(self.ids)
        self.until(lambda: not any(host.guests() for host in self.hosts), 15)
        self.until(lambda: not any(host.leftovers() for host in self.hosts), 15)
        assert (stray := self.stray_outputs()) == [], stray
        for diagnosis_id in self.ids[:: JOBS // 10]:
            assert self.a.get(f"/diagnoses/{diagnosis_id}/report", headers={"Accept": "application/json"}).json()["id"]

    def stray_outputs(self) -> list[str]:
        """Outputs of runs that do not count, and diagnoses without the one that does."""
        counted = {f"{row[0]}/attempt-{row[1]}" for row in self.rows("SELECT diagnosis_id, attempt FROM settlements")}
        shared = self.a.data_dir / "blobs" / "diagnoses"
        return sorted(counted ^ {f"{path.parent.name}/{path.name}" for path in shared.glob("*/attempt-*")})

    def stop(self) -> None:
        for host in self.hosts:
            host.stop()


def tell(scenario: str, what: str, seconds: float, limit_s: float = LEASE_S + SLACK_S) -> None:
    """Print a recovery time beside what it may be, and hold it to that. Shown by pytest with `-s` or `-rP`."""
    print(f"{scenario}: {what} after {seconds:.1f} s (lease {LEASE_S:g} s; at most {limit_s:g} s)")
    assert seconds <= limit_s
