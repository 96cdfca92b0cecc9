"""Two hosts that share a database: processes killed and frozen, a cable pulled, a clock that is wrong; 200 jobs each.

    make cluster

prints how long each fault took to mend. Hosts are namespaces (`tests/cluster/hosts.py`), so that no lock file tells
one host that a process of the other has died: only the lease does.
"""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

import httpx2 as httpx
import pytest

from tests.cluster.fleet import JOBS, LEASE_S, SLACK_S, Fleet, tell
from tests.cluster.hosts import Host

pytestmark = pytest.mark.slow

Start = Callable[..., Fleet]
EARLY = JOBS // 2
START_S = 30.0
"""What a process may take to start on two cores that others use, too; it is ten seconds beyond the default lease."""


@contextmanager
def load(fleet: Fleet) -> Iterator[None]:
    """Half of the jobs are there when the block begins, the others arrive during it."""
    fleet.send(range(EARLY))
    rest = threading.Thread(target=fleet.send, args=(range(EARLY, JOBS),))
    rest.start()
    try:
        yield
    finally:
        rest.join()


def test_both_hosts_work(fleet: Start) -> None:
    two = fleet()
    with load(two):
        pass
    two.all_end_once()
    took = two.rows("SELECT DISTINCT split_part(settled_by, '-', 2) FROM settlements")
    assert sorted(took) == [("a",), ("b",)]


def struck(fleet: Fleet, host: str, strike: Callable[[], object]) -> dict[str, int]:
    """Strike a host while its worker is in the middle of a long job; the runs that it held then and will not end.

    They are looked up before: a host that tells at once that its worker has died gives them back within tenths of a
    second.
    """
    fleet.until(lambda: bool(fleet.just_begun(host)), 60)
    held = fleet.held_by(host)
    strike()
    ended = fleet.ended()
    held = {job: attempt for job, attempt in held.items() if job not in ended}
    assert held, "it was struck while it held something"
    return held


def test_a_worker_that_is_killed_is_replaced(fleet: Start) -> None:
    two = fleet()
    with load(two):
        before = two.workers_of("host-b")
        held = struck(two, "host-b", lambda: two.b.kill("worker"))
        tell("worker killed", "runs given back", two.until(lambda: two.are_given_back(held), LEASE_S + SLACK_S))
        tell("worker killed", "its host works", two.until(lambda: two.works_anew("host-b", before), 60), START_S)
    two.all_end_once()


def test_a_host_that_is_lost_is_found_by_its_lease(fleet: Start) -> None:
    two = fleet()
    with load(two):
        held = struck(two, "host-b", lambda: two.b.kill("supervisor"))
        tell("host lost", "runs given back", two.until(lambda: two.are_given_back(held), LEASE_S + SLACK_S))
        two.b.process.wait(10)
        two.b.start()
    two.ready().all_end_once()


def test_a_web_process_that_is_killed_loses_nothing(fleet: Start) -> None:
    two = fleet()
    with load(two):
        for host, other in (two.hosts, two.hosts[::-1]):
            host.kill("web")
            assert answers(other), "who asks another host notices nothing"
            again_s = two.until(lambda host=host: answers(host), 60)  # type: ignore[misc]
            tell("web killed", f"{host.name} answers", again_s, START_S)
    two.all_end_once()


def answers(host: Host) -> bool:
    try:
        return host.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_a_database_that_is_killed_costs_time_only(fleet: Start) -> None:
    """It is away for longer than a lease: no worker is taken for dead and no run is lost."""
    two = fleet()
    workers = sorted(two.rows("SELECT id FROM workers"))
    with load(two):
        two.until(lambda: bool(two.held_by("host-a") and two.held_by("host-b")), 30)
        two.postgres.kill()
        two.until(lambda: not answers(two.a) and not answers(two.b), 15)
        time.sleep(LEASE_S + 2.0)
        two.postgres.start()
        settled = two.rows("SELECT count(*) FROM settlements")
        tell("database killed", "hosts answer", two.until(lambda: answers(two.a) and answers(two.b), 60))
        more = lambda: two.rows("SELECT count(*) FROM settlements") > settled  # noqa: E731
        tell("database killed", "results are recorded", two.until(more, 60))
    two.all_end_once()
    assert sorted(two.rows("SELECT id FROM workers")) == workers
    assert two.rows("SELECT max(crashes) FROM diagnoses") == [(0,)]


def test_a_host_that_is_cut_off_records_nothing(fleet: Start) -> None:
    """Its cable is out for three leases, then in again: its runs went to the other host, and it works again."""
    two = fleet()
    with load(two):
        held = struck(two, "host-b", two.b.cut)
        tell("cable pulled", "runs given back", two.until(lambda: two.are_given_back(held), LEASE_S + SLACK_S))
        time.sleep(2 * LEASE_S)
        two.b.mend()
        tell("cable in again", "the host answers", two.until(lambda: answers(two.b), 60))
    two.ready().all_end_once()
    overtaken = {job for job, attempt in held.items() if two.rows(ATTEMPT.format(job)) > [(attempt,)]}
    assert overtaken


ATTEMPT = "SELECT attempt FROM settlements WHERE diagnosis_id = '{}'"


def test_a_worker_that_is_frozen_and_thawed_records_nothing(fleet: Start) -> None:
    two = fleet()
    with load(two):
        before, frozen = two.workers_of("host-b"), two.b.child("worker")
        held = struck(two, "host-b", lambda: frozen.send_signal(signal.SIGSTOP))
        try:
            tell("worker frozen", "runs given back", two.until(lambda: two.are_given_back(held), LEASE_S + SLACK_S))
            time.sleep(LEASE_S)
        finally:
            frozen.send_signal(signal.SIGCONT)
        tell("worker thawed", "it has ended", two.until(lambda: not frozen.is_running(), 30))
        tell("worker thawed", "another works", two.until(lambda: two.works_anew("host-b", before), 60), START_S)
    two.all_end_once()


@pytest.mark.skipif(shutil.which("cc") is None, reason="a wrong clock takes a C compiler")
@pytest.mark.parametrize("skew", [120, -120])
@pytest.mark.parametrize("lost", ["host-a", "host-b"])
def test_a_clock_that_is_two_minutes_off_changes_nothing(fleet: Start, skew: int, lost: str) -> None:
    """`host-b` is ahead or behind; it lives and the other is lost, or the other way round."""
    two = fleet(skew)
    said = parsedate_to_datetime(two.b.get("/health/live").headers["date"]).timestamp()
    assert abs(said - time.time() - skew) < 5, "its processes believe it"
    victim = next(host for host in two.hosts if host.name == lost)
    with load(two):
        held = struck(two, lost, lambda: victim.kill("supervisor"))
        what = f"clock {skew:+d} s, {lost} lost"
        tell(what, "runs given back", two.until(lambda: two.are_given_back(held), LEASE_S + SLACK_S))
        victim.process.wait(10)
        victim.start()
    two.ready().all_end_once()
    assert two.rows("SELECT max(crashes) FROM diagnoses") == [(1,)], "no run was taken for lost but those of the host"
