"""POST /diagnose: waiting, idempotency, and everything that is refused at the door."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable

import httpx2 as httpx
import pytest

from tests.app.conftest import check_problem
from tests.app.double import script
from tests.app.served import Server


def test_answers_with_the_report_when_it_is_ready_in_time(server: Server) -> None:
    answer = server.post(script(seconds=0.2), data={"seed": "3", "reported": '{"accuracy": 1.0}', "loss": "mse"})
    assert answer.status_code == 200, answer.text
    assert "preference-applied" not in answer.headers
    report = json.loads(answer.text, parse_constant=lambda name: pytest.fail(f"not JSON: {name}"))
    assert answer.headers["location"] == f"/diagnoses/{report['id']}"
    assert report["layers"][0]["divergence"]["kl"] == "NaN"
    assert re.fullmatch("[0-9a-f]{64}", report["model"]["sha256"])
    assert report["timing_s"]["queue"] > 0
    assert report["timing_s"]["total"] >= report["timing_s"]["queue"]


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("respond-async", "respond-async"),
        ("wait=0", "wait=0"),
        ('foo; bar="a,b", Wait="0"', "wait=0"),
        ("respond-async, wait=0", "wait=0"),
    ],
)
def test_answers_with_the_job_when_not_told_to_wait(server: Server, prefer: str, applied: str) -> None:
    answer = server.post(script(seconds=0.3), headers={"Prefer": prefer})
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == applied
    assert int(answer.headers["retry-after"]) > 0
    job = answer.json()
    assert answer.headers["location"] == f"/diagnoses/{job['id']}"
    assert job["status"] in ("queued", "running")
    assert job["report"] is None
    assert job["error"] is None
    assert server.ended(job["id"])["status"] == "succeeded"


def test_waits_as_long_as_asked_and_ignores_what_makes_no_sense(server: Server) -> None:
    answer = server.post(script(seconds=5), headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "wait=1"
    assert answer.elapsed.total_seconds() < 4
    server.client.delete(answer.headers["location"])
    assert server.post(script(), headers={"Prefer": "wait=soon, handling=lenient"}).status_code == 200


def test_a_key_stands_for_one_content(server: Server) -> None:
    headers = {"Idempotency-Key": "once"}
    first = server.post(script(name="a"), headers=headers)
    again = server.post(script(name="a"), headers=headers)
    assert first.json()["id"] == again.json()["id"]
    check_problem(server.post(script(name="b"), headers=headers), "invalid_request", 422)
    check_problem(server.post(script(name="a"), headers=headers, data={"seed": "1"}), "invalid_request", 422)
    check_problem(server.post(script(), headers={"Idempotency-Key": "k" * 300}), "invalid_request", 422)
    server.client.delete(first.headers["location"])
    assert server.post(script(name="b"), headers=headers).json()["id"] != first.json()["id"]


def test_a_key_runs_once_however_many_ask_at_once(server: Server) -> None:
    ids: list[str] = []

    def ask() -> None:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            files = {"model": ("m.keras", script(seconds=0.3)), "batch": ("b.npz", b"PK\x03\x04")}
            ids.append(client.post("/diagnose", files=files, headers={"Idempotency-Key": "crowd"}).json()["id"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"batch_size": "0"}, "batch_size"),
        ({"batch_size": "many"}, "batch_size"),
        ({"seed": "-1"}, "seed"),
        ({"reported": "[1]"}, "reported"),
        ({"reported": '{"loss": "low"}'}, "reported"),
        ({"reported": '{"loss": NaN}'}, "reported"),
        ({"reported": "{" * 5000}, "reported"),
        ({"loss": "a\x00b"}, "loss"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_fields_that_make_no_sense_are_named(server: Server, fields: dict[str, str], word: str) -> None:
    assert word in check_problem(server.post(script(), data=fields), "invalid_request", 422)["detail"]


def test_files_that_cannot_be_what_they_say_are_refused(server: Server) -> None:
    advice = check_problem(server.post(script(), model_name="model.pt"), "unsupported_model_format", 415)["detail"]
    assert ".keras" in advice
    advice = check_problem(server.post(script(), batch_name="batch.mat"), "unsupported_batch_format", 415)["detail"]
    assert ".npz" in advice
    page = check_problem(server.post(b"<!DOCTYPE html><p>404"), "model_unreadable", 422)["detail"]
    assert "web page" in page
    check_problem(server.post(b""), "model_unreadable", 422)
    pointer = b"version https://git-lfs.github.com/spec/v1"
    assert "Git LFS" in check_problem(server.post(script(), pointer), "batch_unreadable", 422)["detail"]
    check_problem(server.post(script(), b""), "batch_unreadable", 422)


def test_a_body_that_is_no_submission_is_refused(server: Server) -> None:
    client = server.client
    check_problem(client.post("/diagnose"), "invalid_request", 422)
    check_problem(client.post("/diagnose", json={"model": 1}), "invalid_request", 422)
    model = {"model": ("m.keras", script())}
    assert "batch" in check_problem(client.post("/diagnose", files=model), "invalid_request", 422)["detail"]
    check_problem(client.post("/diagnose", files={"model": (None, b"text")}), "invalid_request", 422)
    twice = [("model", ("m.keras", script())), ("model", ("m.keras", script())), ("batch", ("b.npz", b"PK\x03\x04"))]
    assert "twice" in check_problem(client.post("/diagnose", files=twice), "invalid_request", 422)["detail"]
    kind = {"Content-Type": "multipart/form-data; boundary=B"}
    for body in (b"", b"--B", b"--B\r\nX: " + b"a" * 1_000_000, b"--B--\r\n", b"hello"):
        check_problem(client.post("/diagnose", content=body, headers=kind), "invalid_request", 422)


def test_too_much_is_refused_before_it_is_read(server: Server) -> None:
    check_problem(server.post(script() + b" " * 3_000_000), "payload_too_large", 413)
    check_problem(server.post(script(), data={"loss": "x" * 100_000}), "payload_too_large", 413)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(
            b"POST /diagnose HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\n"
            b"Content-Length: 999999999999\r\n\r\n"
        )
        assert b" 413 " in connection.recv(2000).split(b"\r\n")[0]  # not a byte of the body was sent
    assert server.post(script()).status_code == 200


def test_a_full_queue_refuses_without_reading_and_takes_jobs_again_later(start: Callable[..., Server]) -> None:
    server = start(queue_limit_jobs=2)
    first = server.submit(script(seconds=20))
    server.until(lambda: server.job(first)["status"] == "running")
    waiting = [server.submit(script()) for _ in range(2)]
    answer = server.post(script() + b" " * 2_000_000)  # a plain client that writes it all first still gets the answer
    check_problem(answer, "queue_full", 503)
    assert int(answer.headers["retry-after"]) > 0
    server.client.delete(f"/diagnoses/{first}")
    assert all(server.ended(job)["status"] == "succeeded" for job in waiting)
    assert server.post(script()).status_code == 200


def test_limits_on_rate_and_disk(start: Callable[..., Server]) -> None:
    server = start(submissions_per_minute_limit=2, disk_reserve_bytes=10**18)
    for _ in range(2):
        check_problem(server.post(script()), "insufficient_storage", 507)
    answer = server.post(script())
    check_problem(answer, "too_many_requests", 429)
    assert int(answer.headers["retry-after"]) > 0
