"""Jobs outlive every process: killed, stopped, restarted. Each ends once."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable

import psutil
import pytest

from tests.app.double import script
from tests.app.served import Server


def settlements(server: Server) -> Counter[str]:
    with sqlite3.connect(server.data_dir / "phasegap.sqlite") as database:
        return Counter(row[0] for row in database.execute("SELECT diagnosis_id FROM settlements"))


def freeze(process: psutil.Process, server: Server) -> None:
    """Suspend a process while it writes nothing: frozen within a write it would keep SQLite's lock from everybody."""
    for _ in range(50):
        process.suspend()
        try:
            with sqlite3.connect(server.data_dir / "phasegap.sqlite", timeout=0.5) as database:
                database.execute("BEGIN IMMEDIATE")
                database.rollback()
            return
        except sqlite3.OperationalError:
            process.resume()
            time.sleep(0.05)
    raise AssertionError("the database was never free")


@pytest.mark.parametrize("victim", ["worker", "web", "supervisor"])
def test_jobs_survive_a_killed_process(start: Callable[..., Server], victim: str) -> None:
    server = start(slots=2)
    jobs = [server.submit(script(seconds=1.5)) for _ in range(4)]
    server.until(lambda: any(server.job(job)["status"] == "running" for job in jobs))
    server.kill(victim)
    if victim == "supervisor":
        server.process.wait(10)
        server.start()
    assert [server.ended(job)["status"] for job in jobs] == ["succeeded"] * 4
    assert settlements(server) == dict.fromkeys(jobs, 1)
    if victim != "web":
        assert any(server.job(job)["attempt"] == 2 for job in jobs)


def test_a_frozen_worker_loses_its_job_and_its_result(start: Callable[..., Server]) -> None:
    server = start(lease_seconds=2)
    job = server.submit(script(seconds=3))
    server.until(lambda: server.job(job)["status"] == "running")
    frozen = server.child("worker")
    freeze(frozen, server)
    server.until(lambda: server.job(job)["attempt"] == 2, 15)
    frozen.resume()  # it comes back, finds that it was declared dead, and leaves; its successor runs the job
    assert server.ended(job)["status"] == "succeeded"
    assert settlements(server) == {job: 1}
    assert frozen.pid != server.child("worker").pid


def test_a_poison_job_ends_and_the_next_one_runs(start: Callable[..., Server]) -> None:
    server = start(attempts_limit=2)
    poison, good = server.submit(script(kill_worker=True)), server.submit(script())
    job = server.ended(poison)
    assert job["status"] == "failed"
    assert job["error"]["code"] == "worker_crashed"
    assert job["attempt"] == 2
    assert server.ended(good)["status"] == "succeeded"
    assert settlements(server) == {poison: 1, good: 1}


def test_stopping_lets_go_and_answers_who_waits(start: Callable[..., Server]) -> None:
    import threading

    server = start()
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(server.post(script(seconds=4))))
    waiting.start()
    server.until(lambda: server.get("/diagnoses?status=running").json()["items"] != [])
    server.process.terminate()
    waiting.join(20)
    assert server.process.wait(20) == 0
    assert answers[0].status_code == 202
    assert server.stored_files() != []
    server.start()
    job = server.ended(answers[0].json()["id"])
    assert job["status"] == "succeeded"
    assert job["attempt"] == 2
    assert settlements(server) == {job["id"]: 1}
    assert not any("scratch" in name for name in server.stored_files())


def test_what_was_acknowledged_survives_the_web_process(start: Callable[..., Server]) -> None:
    server = start()
    jobs = []
    for _ in range(5):
        jobs.append(server.submit(script()))
        server.kill("web")
        server.until(lambda: server.get("/health/live").status_code == 200)
    assert [server.ended(job)["status"] for job in jobs] == ["succeeded"] * 5


def test_old_diagnoses_expire(start: Callable[..., Server]) -> None:
    server = start(retention_seconds=1, sweep_seconds=0.5)
    server.post(script(repaired=True))
    server.until(lambda: server.get("/diagnoses").json()["items"] == [], 15)
    server.until(lambda: server.stored_files() == [], 15)


def test_stopping_takes_all_processes_along(start: Callable[..., Server]) -> None:
    server = start()
    children = [server.child("web"), server.child("worker")]
    server.kill("supervisor")
    server.process.wait(10)
    for child in children:
        child.wait(10)
