"""The job, its report, its events, the list, and removal."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from analyzers.causes import registered
from tests.app.conftest import check_problem
from tests.app.double import NOTE, script
from tests.app.served import Server

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_a_job_tells_how_it_went(server: Server) -> None:
    job = server.ended(server.submit(script(name="told")))
    assert job["status"] == "succeeded"
    assert job["report"]["id"] == job["id"]
    assert job["progress"] == {"stage": "done", "fraction": 1.0, "note": NOTE}
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    assert job["error"] is None


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("refused", "model_unreadable", 422),
        ("refused", "model_unsafe", 422),
        ("refused", "model_needs_custom_code", 422),
        ("refused", "batch_unreadable", 422),
        ("refused", "batch_mismatch", 422),
        ("refused", "batch_too_small", 422),
        ("refused", "no_phase_information", 422),
        ("out_of_memory", "out_of_memory", 422),
        ("timed_out", "deadline_exceeded", 422),
        ("crashed", "worker_crashed", 500),
        ("crashed", "internal", 500),
    ],
)
def test_what_a_run_finds_wrong_is_answered_as_a_problem(server: Server, kind: str, code: str, status: int) -> None:
    answer = server.post(script(kind=kind, code=code, detail="what to change"))
    problem = check_problem(answer, code, status)
    assert "what to change" in problem["detail"]
    job = server.job(problem["id"])
    assert job["status"] == "failed"
    assert job["error"]["code"] == code
    check_problem(server.get(f"/diagnoses/{job['id']}/report"), code, status)
    check_problem(server.get(f"/diagnoses/{job['id']}/model"), "not_found", 404)
    page = server.get(f"/diagnoses/{job['id']}/report", headers=HTML)
    assert page.status_code == status
    assert "what to change" in page.text


def test_unfinished_jobs_have_no_report_yet(server: Server) -> None:
    diagnosis_id = server.submit(script(seconds=20))
    server.until(lambda: server.job(diagnosis_id)["progress"]["stage"] == "verify")
    answer = server.get(f"/diagnoses/{diagnosis_id}/report")
    check_problem(answer, "not_finished", 409)
    check_problem(server.get(f"/diagnoses/{diagnosis_id}/model"), "not_finished", 409)
    page = server.get(f"/diagnoses/{diagnosis_id}/report", headers=HTML)
    assert page.status_code == 409
    assert 'http-equiv="refresh"' in page.text
    assert server.job(diagnosis_id)["progress"]["note"] == NOTE
    assert NOTE not in page.text
    assert "a &lt;b&gt;note" in page.text
    server.client.delete(f"/diagnoses/{diagnosis_id}")


def test_a_repaired_model_has_the_users_name(server: Server) -> None:
    answer = server.post(script(repaired=True), model_name="../my mödel.KERAS")
    got = server.get(f"{answer.headers['location']}/model")
    assert got.content == b"a repaired model"
    assert "my%20m%C3%B6del-repaired.keras" in got.headers["content-disposition"]
    without = server.post(script())
    check_problem(server.get(f"{without.headers['location']}/model"), "not_found", 404)


def test_hostile_names_stay_inert(server: Server) -> None:
    hostile = "<script>alert(1)</script>\u202e{{7*7}}" + "x" * 5000
    answer = server.post(script(mention=hostile, name=hostile), model_name="<img src=x>.keras")
    page = server.get(f"{answer.headers['location']}/report", headers=HTML)
    assert page.status_code == 200
    for text in (page.text, server.get("/", headers=HTML).text):
        assert "<script>alert" not in text
        assert "<img src=x>" not in text
        assert "\u202e" not in text
    assert "&lt;script&gt;" in page.text
    assert "{{7*7}}" in page.text
    assert len(page.text) < 60_000
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_events_replay_and_end_with_the_job(server: Server) -> None:
    diagnosis_id = server.submit(script(seconds=0.5))
    with server.client.stream("GET", f"/diagnoses/{diagnosis_id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        live = [line for line in stream.iter_lines() if line.startswith(("event:", "id:"))]
    kinds = [line.split()[1] for line in live if line.startswith("event:")]
    assert kinds[:2] == ["queued", "running"]
    assert kinds[-1] == "succeeded"
    assert "progress" in kinds
    replay = server.get(f"/diagnoses/{diagnosis_id}/events").text
    assert [line for line in replay.splitlines() if line.startswith(("event:", "id:"))] == live
    assert replay.count(json.dumps(NOTE)) == 1
    rest = server.get(f"/diagnoses/{diagnosis_id}/events", headers={"Last-Event-ID": "2"}).text
    assert "event: running" not in rest
    assert "event: succeeded" in rest
    assert server.get(f"/diagnoses/{diagnosis_id}/events", headers={"Last-Event-ID": "999"}).text == ""
    check_problem(server.get("/diagnoses/nothing/events"), "not_found", 404)


def test_the_list_is_filtered_and_paged(server: Server) -> None:
    ids = [server.post(script(name="listed")).json()["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"model_name": "listed", "limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = server.get("/diagnoses", params=query).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]
    assert all(item["verdict"] == "phase_gap" for item in server.get("/diagnoses?verdict=phase_gap").json()["items"])
    assert server.get("/diagnoses?cause=no_phase_gap").json()["items"] == []
    assert server.get("/diagnoses?status=failed&model_name=listed").json()["items"] == []
    now = datetime.now(UTC)
    assert server.get("/diagnoses", params={"since": (now + timedelta(hours=1)).isoformat()}).json()["items"] == []
    recent = server.get("/diagnoses", params={"since": (now - timedelta(hours=1)).isoformat()}).json()["items"]
    assert ids[-1] in [item["id"] for item in recent]
    for query in (
        "cursor=@@",
        "cursor=eHg",
        "limit=0",
        "limit=101",
        "status=lost",
        "since=yesterday",
        "verdict=zzz",
        "cause=zzz",
    ):
        check_problem(server.get(f"/diagnoses?{query}"), "invalid_request", 422)


def test_the_name_of_the_file_stays_beside_that_of_the_model(server: Server) -> None:
    answer = server.post(script(name="functional_7"), model_name="churn v2.keras")
    job = server.job(answer.json()["id"])
    assert (job["model_name"], job["model_file_name"]) == ("functional_7", "churn v2.keras")
    page = server.get(f"/diagnoses/{job['id']}/report", headers=HTML).text
    assert "functional_7 <small>churn v2.keras</small>" in page
    for name in ("functional_7", "churn v2", "churn v2.keras"):
        listed = server.get("/diagnoses", params={"model_name": name}).json()["items"]
        assert [item["id"] for item in listed] == [job["id"]]
        assert "churn v2.keras" in server.get("/", params={"model_name": name}).text
    assert "churn v2.keras" not in server.get("/", params={"model_name": "other"}).text


def test_every_cause_can_be_asked_for(server: Server) -> None:
    for code in [cause.code for cause in registered()]:
        assert server.get(f"/diagnoses?cause={code}").status_code == 200


def test_removal_leaves_nothing(server: Server) -> None:
    diagnosis_id = server.post(script(repaired=True)).json()["id"]
    assert any(diagnosis_id in name for name in server.stored_files())
    assert server.client.delete(f"/diagnoses/{diagnosis_id}").status_code == 204
    check_problem(server.get(f"/diagnoses/{diagnosis_id}"), "not_found", 404)
    check_problem(server.client.delete(f"/diagnoses/{diagnosis_id}"), "not_found", 404)
    assert not any(diagnosis_id in name for name in server.stored_files())
    with sqlite3.connect(server.data_dir / "phasegap.sqlite") as database:
        dump = "\n".join(database.iterdump())
    assert diagnosis_id not in dump


def test_removal_cancels_what_runs(server: Server) -> None:
    diagnosis_id = server.submit(script(seconds=60))
    server.until(lambda: server.job(diagnosis_id)["status"] == "running")
    assert server.client.delete(f"/diagnoses/{diagnosis_id}").status_code == 204
    assert server.job(diagnosis_id)["status"] == "cancelled"
    check_problem(server.get(f"/diagnoses/{diagnosis_id}/report"), "not_found", 404)
    assert "event: cancelled" in server.get(f"/diagnoses/{diagnosis_id}/events").text
    server.until(lambda: not any(diagnosis_id in name for name in server.stored_files()), 10)
    assert server.client.delete(f"/diagnoses/{diagnosis_id}").status_code == 204
    check_problem(server.get(f"/diagnoses/{diagnosis_id}"), "not_found", 404)


def test_removal_answers_who_waits(server: Server) -> None:
    import threading

    answers = []
    waiting = threading.Thread(target=lambda: answers.append(server.post(script(seconds=60, name="waited"))))
    waiting.start()
    server.until(lambda: server.get("/diagnoses?status=running").json()["items"] != [])
    for item in server.get("/diagnoses?status=running").json()["items"]:
        server.client.delete(f"/diagnoses/{item['id']}")
    waiting.join(20)
    check_problem(answers[0], "conflict", 409)
