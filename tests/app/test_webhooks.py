"""Endings are told: signed, again until they arrive, over any death of a process, and not to whom must not be told."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.app.conftest import QUICK, check_problem
from tests.app.double import script
from tests.app.listener import OTHER_SECRET, SECRET, Handler, Listener, Told, accept
from tests.app.served import Server
from tests.app.test_life import freeze

ATTEMPTS = 4
TOKEN = "Zq7-in-the-query"


class Company:
    """A server and those who listen to it: to `main` nothing happens, the scripts of the others are the tests'."""

    def __init__(self, server: Server, **listeners: Listener) -> None:
        self.server, self.listeners = server, listeners
        self.main, self.moody, self.unreachable = (listeners[name] for name in ("main", "moody", "unreachable"))

    def deliveries(self, endpoint: str, job: str) -> list[dict[str, Any]]:
        answer = self.server.get("/webhooks/deliveries", params={"diagnosis_id": job, "limit": 100})
        return [item for item in answer.json()["items"] if item["endpoint"] == endpoint]

    def wait_for(self, endpoint: str, job: str, state: str) -> dict[str, Any]:
        self.server.until(lambda: [item["state"] for item in self.deliveries(endpoint, job)] == [state])
        return self.deliveries(endpoint, job)[0]

    def told(self, endpoint: str, job: str) -> list[Told]:
        return [told for told in list(self.listeners[endpoint].told) if told.event["subject"] == job]

    def wait_told(self, endpoint: str, job: str, times: int = 1) -> Told:
        self.server.until(lambda: len(self.told(endpoint, job)) == times)
        return self.told(endpoint, job)[-1]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.server.data_dir / "phasegap.sqlite", timeout=10) as database:
            return list(database.execute(sql))


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with Listener() as main, Listener() as moody, Listener(host="127.0.0.2") as unreachable:
        urls = {"main": f"{main.url}?token={TOKEN}", "moody": moody.url, "unreachable": unreachable.url}
        wanted = [{"name": name, "url": url, "secret": SECRET} for name, url in urls.items()]
        wanted[0]["previous_secret"] = OTHER_SECRET
        server = Server(
            tmp_path_factory.mktemp("webhooks"),
            slots=2,
            webhook_endpoints=json.dumps(wanted),
            webhook_networks_allowed='["127.0.0.1/32"]',
            webhook_retry_seconds=0.05,
            webhook_seconds=1.5,
            webhook_attempts_limit=ATTEMPTS,
            public_url="https://gap.example/",
            **QUICK,
        )
        yield Company(server.wait_ready(), main=main, moody=moody, unreachable=unreachable)
        assert server.stop() == 0, "".join(server.log)


@pytest.fixture(autouse=True)
def calm(company: Company) -> Iterator[None]:
    yield
    company.moody.script = accept


def test_a_success_is_told_and_signed(company: Company) -> None:
    job = company.server.submit(script(name="a\u202emodel", repaired=True))
    told = company.wait_told("moody", job)
    assert told.is_signed_by(SECRET)
    assert not told.is_signed_by(OTHER_SECRET)
    assert told.headers["content-type"] == "application/cloudevents+json"
    event = told.event
    assert told.headers["webhook-id"] == event["id"]
    assert (event["specversion"], event["source"]) == ("1.0", "https://gap.example/diagnoses")
    assert (event["type"], event["subject"]) == ("phasegap.diagnosis.succeeded", job)
    listed = company.server.get("/diagnoses?limit=1").json()["items"][0]
    same = ("id", "status", "verdict", "severity", "primary_cause", "headline", "model_name", "model_file_name")
    assert {name: event["data"][name] for name in same} == {name: listed[name] for name in same}
    assert event["data"]["repaired_model"] == f"https://gap.example/diagnoses/{job}/model"
    assert b"\\u202e" in told.body
    assert all(byte < 0x7F for byte in told.body)
    assert company.wait_for("moody", job, "delivered")["attempts"] == 1


def test_a_failure_is_told_with_its_problem(company: Company) -> None:
    job = company.server.submit(script(kind="refused", code="batch_mismatch", detail="channels first"))
    event = company.wait_told("moody", job).event
    assert event["type"] == "phasegap.diagnosis.failed"
    assert (event["data"]["error"]["code"], event["data"]["error"]["detail"]) == ("batch_mismatch", "channels first")
    assert (event["data"]["report"], event["data"]["repaired_model"]) == (None, None)


def test_what_fails_is_tried_again_and_not_before_its_time(company: Company) -> None:
    first = len(company.moody.told)

    def fails_three_times(handler: Handler, number: int) -> None:
        if number == first + 2:
            handler.answer(429, retry_after="2")
        else:
            handler.answer(500 if number < first + 3 else 200)

    company.moody.script = fails_three_times
    job = company.server.submit(script())
    assert company.wait_for("moody", job, "delivered")["attempts"] == 4
    told = company.told("moody", job)
    assert len({each.headers["webhook-id"] for each in told}) == len({each.body for each in told}) == 1
    assert all(each.is_signed_by(SECRET) for each in told)
    assert told[3].at_s - told[2].at_s > 1.9  # Retry-After, where the schedule said 0.8 s


def test_who_never_answers_keeps_nobody_waiting_and_gets_a_dead_letter(company: Company) -> None:
    company.moody.script = company.moody.never_answer
    first = company.server.submit(script())
    company.wait_told("moody", first)
    answer = company.server.post(script(), headers={"Prefer": "wait=60"})
    assert answer.status_code == 200
    company.wait_told("main", answer.json()["id"])
    assert company.deliveries("moody", first)[0]["state"] == "pending"  # it was asked before, and still is
    dead = company.wait_for("moody", first, "dead")
    assert (dead["attempts"], dead["status_code"]) == (ATTEMPTS, None)
    assert dead["reason"] == "No answer within 1.5 seconds."
    assert dead["id"] in [item["id"] for item in company.server.get("/webhooks/deliveries?state=dead").json()["items"]]
    company.moody.script = accept
    again = company.server.client.post(f"/webhooks/deliveries/{dead['id']}/retry")
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    assert company.wait_for("moody", first, "delivered")["attempts"] == 1


def test_gone_is_told_nothing_more_until_it_is_enabled(company: Company) -> None:
    company.moody.script = lambda handler, _: handler.answer(410)
    server, first = company.server, company.server.submit(script())
    dead = company.wait_for("moody", first, "dead")
    assert "410 Gone" in dead["reason"]
    state = {each["name"]: each for each in server.get("/webhooks/endpoints").json()}["moody"]
    assert state["disabled_at"] is not None
    assert state["origin"] == company.moody.url.removesuffix("/hook")
    company.moody.script = accept
    missed = server.submit(script())
    company.wait_told("main", missed)
    assert company.deliveries("moody", missed) == []
    check_problem(server.client.post(f"/webhooks/deliveries/{dead['id']}/retry"), "conflict", 409)
    assert server.client.post("/webhooks/endpoints/moody/enable").status_code == 204
    assert server.client.post(f"/webhooks/deliveries/{dead['id']}/retry").status_code == 202
    company.wait_told("moody", first, 2)
    company.wait_told("moody", server.submit(script()))


def test_nothing_private_is_connected_to_unless_it_is_allowed(company: Company) -> None:
    job = company.server.submit(script())
    assert "not public" in company.wait_for("unreachable", job, "dead")["reason"]
    assert company.unreachable.told == []


def test_a_redirect_is_not_followed(company: Company) -> None:
    company.moody.script = lambda handler, _: handler.answer(307, location=company.main.url)
    job = company.server.submit(script())
    assert "redirects are not followed" in company.wait_for("moody", job, "dead")["reason"]
    assert len(company.told("main", job)) == 1


def test_what_is_deleted_is_told_to_nobody(company: Company) -> None:
    company.moody.script = lambda handler, _: handler.answer(503, retry_after="3")
    server, job = company.server, company.server.submit(script())
    server.until(lambda: [item["reason"] for item in company.deliveries("moody", job)] == ["It answered 503."])
    company.wait_for("main", job, "delivered")
    assert server.client.delete(f"/diagnoses/{job}").status_code == 204
    for (table,) in company.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
        assert job not in repr(company.rows(f'SELECT * FROM "{table}"'))
    heard = len(company.told("moody", job))
    time.sleep(4.0)
    assert len(company.told("moody", job)) == heard


def test_who_cancels_knows_it(company: Company) -> None:
    job = company.server.submit(script(seconds=20))
    assert company.server.client.delete(f"/diagnoses/{job}").status_code == 204
    company.server.until(lambda: company.rows("SELECT * FROM settlements WHERE NOT announced") == [])
    assert company.deliveries("main", job) == []


@pytest.mark.parametrize("victim", ["web", pytest.param("supervisor", marks=pytest.mark.slow)])
def test_a_death_between_ending_and_telling_loses_nothing(company: Company, victim: str) -> None:
    server = company.server
    job = server.submit(script(seconds=1.0))
    server.until(lambda: server.job(job)["status"] == "running")
    freeze(server.child("web"), server)
    ended = f"SELECT status FROM settlements WHERE diagnosis_id = '{job}'"
    server.until(lambda: company.rows(ended) == [("succeeded",)])
    assert company.rows(f"SELECT * FROM deliveries WHERE diagnosis_id = '{job}'") == []
    server.kill(victim)
    if victim == "supervisor":
        server.process.wait(10)
        server.start()
    company.wait_told("main", job)


def test_a_death_with_a_delivery_in_hand_loses_nothing(company: Company) -> None:
    company.moody.script = company.moody.never_answer
    job = company.server.submit(script())
    company.wait_told("moody", job)
    company.moody.script = accept
    company.server.kill("web")
    company.wait_for("moody", job, "delivered")
    assert len(company.told("moody", job)) == 2


def test_secrets_stay_where_they_are_needed(company: Company) -> None:
    server, job = company.server.wait_ready(), company.server.submit(script())
    told = company.wait_told("main", job)
    assert told.path == f"/hook?token={TOKEN}"
    assert told.is_signed_by(SECRET)
    assert told.is_signed_by(OTHER_SECRET)
    assert SECRET in server.child("web").environ()["PHASEGAP_WEBHOOK_ENDPOINTS"]
    workers = server.child("worker").environ()
    assert workers["PHASEGAP_WEBHOOK_ENDPOINTS"] == "[]", "none, which goes before a file of the secrets' folder"
    assert not any(secret in value for value in workers.values() for secret in (SECRET, OTHER_SECRET, TOKEN))
    shown = server.get("/webhooks/endpoints").text + server.get("/webhooks/deliveries").text + "".join(server.log)
    kept = b"".join(path.read_bytes() for path in server.data_dir.glob("*.sqlite*"))
    for secret in (SECRET, OTHER_SECRET, TOKEN):
        assert secret not in shown
        assert secret.encode() not in kept


def test_the_list_has_pages_and_knows_what_is_not_there(company: Company) -> None:
    server = company.server
    first = server.get("/webhooks/deliveries?limit=4").json()
    second = server.get("/webhooks/deliveries", params={"limit": 4, "cursor": first["next_cursor"]}).json()
    assert len({item["id"] for item in first["items"] + second["items"]}) == 8
    check_problem(server.get("/webhooks/deliveries?cursor=@"), "invalid_request", 422)
    check_problem(server.get("/webhooks/deliveries?state=lost"), "invalid_request", 422)
    check_problem(server.client.post("/webhooks/deliveries/dlv_none/retry"), "not_found", 404)
    check_problem(server.client.post("/webhooks/endpoints/none/enable"), "not_found", 404)
