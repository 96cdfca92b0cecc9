"""Processes that share a data folder wake one another; who hears nothing looks all the same."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from app.bells import Bell, hang, ring
from app.jobs.doorbell import Doorbell
from tests.app.double import script
from tests.app.served import Server

SELDOM = 30.0
"""Seconds between two looks into the database: far longer than a test takes that depends on none of them."""


def test_a_ring_is_heard_by_all_of_its_kind_and_by_no_other(tmp_path):
    first, second, other = Bell(tmp_path, "jobs"), Bell(tmp_path, "jobs"), Bell(tmp_path, "ends")
    ring(tmp_path, "jobs")
    assert (first.wait(0), second.wait(0), other.wait(0)) == (True, True, False)
    assert not first.wait(0), "heard once"
    for bell in (first, second, other):
        bell.close()
    assert list(tmp_path.iterdir()) == []


def test_a_bell_that_nobody_holds_any_more_is_removed(tmp_path):
    gone, kept = Bell(tmp_path, "jobs"), Bell(tmp_path, "jobs")
    path = gone.path
    gone.close()
    os.mkfifo(path)  # what a killed process leaves
    ring(tmp_path, "jobs")
    assert list(tmp_path.iterdir()) == [kept.path]
    assert kept.wait(0)


def test_the_bells_of_another_host_are_left_alone(tmp_path, monkeypatch):
    elsewhere = Bell(tmp_path, "jobs")
    elsewhere.close()
    os.mkfifo(elsewhere.path)  # as it looks from here: a pipe that nobody holds open
    monkeypatch.setattr("app.bells._kernel", lambda: "other")
    here = Bell(tmp_path, "jobs")
    ring(tmp_path, "jobs")
    assert here.wait(0)
    assert elsewhere.path.exists()


def test_rings_that_nobody_hears_cost_nothing(tmp_path):
    ring(tmp_path / "no such folder", "jobs")
    deaf = Bell(tmp_path, "jobs")
    for _ in range(70_000):  # more than a pipe holds
        ring(tmp_path, "jobs")
    assert deaf.wait(0)
    deaf.close()


def test_a_link_in_the_folder_is_not_written_through(tmp_path):
    (tmp_path / "bells").mkdir()
    (tmp_path / "precious").write_text("as it was")
    bell = Bell(tmp_path / "bells", "jobs")
    bell.close()
    bell.path.symlink_to(tmp_path / "precious")
    ring(tmp_path / "bells", "jobs")
    assert (tmp_path / "precious").read_text() == "as it was"


def test_a_folder_that_takes_no_pipes_means_no_bell(tmp_path):
    (tmp_path / "file").touch()
    assert hang(tmp_path / "file", "jobs") is None


def test_a_pause_ends_by_a_ring_by_its_time_or_by_the_stop(tmp_path):
    doorbell, stop = Doorbell(tmp_path), threading.Event()
    pause = doorbell.cutting_short(stop)
    assert not pause.wait(timeout=0.01)
    ring(tmp_path, "jobs")
    began_s = time.monotonic()
    assert not pause.wait(timeout=SELDOM)
    assert time.monotonic() - began_s < SELDOM / 2
    stop.set()
    doorbell.retire()
    assert pause.wait(timeout=SELDOM)
    assert pause.is_set()


@pytest.fixture
def seldom(tmp_path: Path):
    server = Server(tmp_path / "data", slots=1, queue_poll_seconds=SELDOM, poll_seconds=SELDOM)
    yield server.wait_ready()
    assert server.stop() == 0


def test_jobs_are_taken_and_answered_without_a_look_in_between(seldom):
    began_s = time.monotonic()
    for number in range(3):
        assert seldom.post(script(number=number), headers={"Prefer": "wait=20"}).status_code == 200
    jobs = [seldom.submit(script(number=number)) for number in range(10, 13)]  # two of them wait for the slot
    for job in jobs:
        assert seldom.get(f"/diagnoses/{job}/events", timeout=SELDOM / 2).text.count("event: succeeded") == 1
    assert time.monotonic() - began_s < SELDOM / 2
    assert len(list((seldom.data_dir / "bells").iterdir())) == 2, "one of the web process, one of the worker"


def test_without_bells_a_look_finds_the_job(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "bells").touch()  # no folder, so no bells
    server = Server(data, slots=1).wait_ready()
    assert server.post(script(), headers={"Prefer": "wait=20"}).status_code == 200
    assert server.stop() == 0
