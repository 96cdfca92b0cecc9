"""What the service meets when things go wrong around it: clients that drip, disks that are full. All of it real."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

import pytest

from app.locks import locked
from app.services import Services, prepare
from app.settings import Settings
from app.worker.process import clear_dead_scratch
from tests.app.conftest import QUICK, check_problem
from tests.app.double import MAGIC, script
from tests.app.served import Server

DISK_BYTES = 24 << 20
HEAD = (
    b"POST /diagnose HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\n"
    b'Content-Length: 3000000\r\n\r\n--B\r\nContent-Disposition: form-data; name="model"; filename="m.keras"\r\n\r\n'
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_at(tmp_path / "disk") as folder:
        yield folder


@contextmanager
def disk_at(folder: Path) -> Iterator[Path]:
    """A file system of its own, small enough to fill."""
    folder.mkdir()
    options = f"size={DISK_BYTES},mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount a file system here, and nothing else makes a disk full for real")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take all the space that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)):
                pass
        except OSError:
            pass
    assert os.statvfs(disk).f_bavail == 0
    return ballast


def outgrowing() -> Iterator[bytes]:
    """A body without a declared length, so that nothing tells beforehand that it does not fit."""
    yield b'--B\r\nContent-Disposition: form-data; name="model"; filename="m.keras"\r\n\r\n' + MAGIC
    for _ in range(DISK_BYTES >> 19):
        yield bytes(1 << 20)


def left_over(server: Server) -> list[str]:
    return [name for name in server.stored_files() if "incoming" in name or "scratch" in name]


def test_a_full_disk_refuses_uploads_loses_no_job_and_is_got_over(small_disk: Path) -> None:
    server = Server(small_disk / "data", disk_reserve_bytes=0, **QUICK).wait_ready()
    try:
        headers = {"Content-Type": "multipart/form-data; boundary=B"}
        answer = server.client.post("/diagnose", content=outgrowing(), headers=headers)
        check_problem(answer, "insufficient_storage", 507)
        server.until(lambda: server.stored_files() == [])
        running, waiting = server.submit(script(seconds=2, repaired=True)), server.submit(script())
        server.until(lambda: server.job(running)["status"] == "running")
        ballast = fill(small_disk)
        check_problem(server.post(script()), "insufficient_storage", 507)
        server.until(lambda: any("job_failed_in_worker" in line for line in server.log), 10)
        assert server.get("/health/live").status_code == 200
        ballast.unlink()
        assert server.post(script()).status_code == 200
        ends = [server.ended(job) for job in (running, waiting)]
        # It had nowhere to write: either that could be recorded after all, or it was run again.
        assert ends[0]["status"] == "succeeded" or ends[0]["error"]["code"] == "insufficient_storage"
        assert ends[1]["status"] == "succeeded"
        with sqlite3.connect(server.data_dir / "phasegap.sqlite") as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            counts = database.execute("SELECT count(*), count(DISTINCT diagnosis_id) FROM settlements").fetchone()
            assert counts == (3, 3)
        server.until(lambda: left_over(server) == [])
    finally:
        assert server.stop() == 0


def test_uploads_that_drip_or_come_all_at_once_leave_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", upload_seconds=2, drain_seconds=0.5, **QUICK).wait_ready()
    try:
        answers: list[int] = []
        posts = [threading.Thread(target=lambda: answers.append(server.post(script()).status_code)) for _ in range(16)]
        for post in posts:  # the first uploads of this process, several at once
            post.start()
        for post in posts:
            post.join()
        assert answers == [200] * 16
        slow = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(8)]
        for connection in slow:
            connection.sendall(HEAD + MAGIC + bytes(1_500_000))
        server.until(lambda: left_over(server) != [])
        assert server.post(script()).status_code == 200  # nobody else waits for them
        said = [_answer(connection) for connection in slow]
        assert {status for status, _ in said} == {422}, said
        assert all(b"longer than 2 seconds" in body for _, body in said), said
        server.until(lambda: left_over(server) == [])
        assert len(server.get("/diagnoses").json()["items"]) == 17
    finally:
        server.stop()


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of what comes, in however many pieces."""
    response = HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def test_what_killed_workers_left_is_removed_and_what_living_ones_hold_is_not(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    prepare(settings)
    services, scratch = Services(settings), tmp_path / "scratch"
    for name in ("rehearsal-old/job", "rehearsal-new/job", f"{'0' * 32}-1/in", "kept"):
        (scratch / name).mkdir(parents=True)
    with locked(scratch / "rehearsal-new"):
        clear_dead_scratch(scratch, services)
        assert sorted(path.name for path in scratch.iterdir()) == ["kept", "rehearsal-new"]
    clear_dead_scratch(scratch, services)
    assert [path.name for path in scratch.iterdir()] == ["kept"]
    services.close()
