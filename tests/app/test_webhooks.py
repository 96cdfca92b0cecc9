"""Endings are told: signed, again until they arrive, over any death of a process, and to nobody who must not be told."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.app.conftest import check_problem
from tests.app.double import script
from tests.app.listener import OTHER_SECRET, SECRET, Handler, Listener, endpoints
from tests.app.served import Server

Start = Callable[..., Server]
LOOPBACK = '["127.0.0.0/8"]'
HASTY = {"webhook_networks_allowed": LOOPBACK, "webhook_retry_seconds": 0.05, "webhook_seconds": 1.0}


def deliveries(server: Server, **query: Any) -> list[dict[str, Any]]:
    return list(server.get("/webhooks/deliveries", params=query).json()["items"])


def rows(server: Server, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(server.data_dir / "phasegap.sqlite", timeout=10) as database:
        return list(database.execute(sql))


def test_an_ending_is_told_once_and_signed(start: Start) -> None:
    with Listener() as listener:
        server = start(webhook_endpoints=endpoints(main=listener.url), public_url="https://gap.example/", **HASTY)
        good = server.submit(script(name="a\u202emodel", repaired=True))
        server.until(lambda: len(listener.told) == 1)
        bad = server.submit(script(kind="refused", code="batch_mismatch", detail="channels first"))
        server.until(lambda: len(listener.told) == 2)
        told = listener.told[0]
        assert told.is_signed_by(SECRET)
        assert not told.is_signed_by(OTHER_SECRET)
        assert told.headers["content-type"] == "application/cloudevents+json"
        assert told.headers["webhook-id"] == told.event["id"]
        event = told.event
        assert {name: event[name] for name in ("specversion", "type", "subject", "source")} == {
            "specversion": "1.0",
            "type": "phasegap.diagnosis.succeeded",
            "subject": good,
            "source": "https://gap.example/diagnoses",
        }
        job = server.get("/diagnoses?limit=2").json()["items"][1]
        same = ("id", "status", "verdict", "severity", "primary_cause", "headline", "model_name", "finished_at")
        assert {name: event["data"][name] for name in same} == {name: job[name] for name in same}
        assert event["data"]["repaired_model"] == f"https://gap.example/diagnoses/{good}/model"
        assert b"\\u202e" in told.body
        assert all(byte < 0x7F for byte in told.body)
        failed = listener.told[1].event
        assert (failed["type"], failed["subject"]) == ("phasegap.diagnosis.failed", bad)
        assert failed["data"]["error"]["code"] == "batch_mismatch"
        assert (failed["data"]["report"], failed["data"]["repaired_model"]) == (None, None)
        server.until(lambda: [item["state"] for item in deliveries(server)] == ["delivered"] * 2)
        server.client.delete(f"/diagnoses/{server.submit(script(seconds=5))}")  # cancelled: who did it knows it
        time.sleep(1.2)
        assert len(listener.told) == 2


def test_what_fails_is_tried_again_and_not_before_its_time(start: Start) -> None:
    def fails_three_times(handler: Handler, number: int) -> None:
        if number == 2:
            handler.answer(429, retry_after="2")
        else:
            handler.answer(500 if number < 3 else 200)

    with Listener(fails_three_times) as listener:
        server = start(webhook_endpoints=endpoints(main=listener.url), **HASTY)
        server.submit(script())
        server.until(lambda: [item["state"] for item in deliveries(server)] == ["delivered"])
        assert [item["attempts"] for item in deliveries(server)] == [4]
        assert len({told.headers["webhook-id"] for told in listener.told}) == 1
        assert len({told.body for told in listener.told}) == 1
        assert all(told.is_signed_by(SECRET) for told in listener.told)
        assert listener.told[3].at_s - listener.told[2].at_s > 1.9  # Retry-After, where the schedule said 0.8 s


def test_who_never_answers_keeps_nobody_waiting_and_gets_a_dead_letter(start: Start) -> None:
    with Listener() as silent, Listener() as good:
        silent.script = silent.never_answer
        two = endpoints(silent=silent.url, good=good.url)
        server = start(webhook_endpoints=two, webhook_attempts_limit=2, **HASTY)
        started_s = time.monotonic()
        for _ in range(3):
            assert server.post(script()).status_code == 200
        assert time.monotonic() - started_s < 3.0  # a second each with nothing in between; a hook would add one
        server.until(lambda: len(good.told) == 3, 3)
        server.until(lambda: len(deliveries(server, state="dead")) == 3)
        dead = deliveries(server, state="dead")
        assert {(item["endpoint"], item["attempts"], item["status_code"]) for item in dead} == {("silent", 2, None)}
        assert dead[0]["reason"] == "No answer within 1 seconds."
        silent.script = good.script
        heard = len(silent.told)
        again = server.client.post(f"/webhooks/deliveries/{dead[0]['id']}/retry")
        assert (again.status_code, again.json()["state"]) == (202, "pending")
        server.until(lambda: len(silent.told) == heard + 1)
        assert silent.told[-1].event["subject"] == dead[0]["diagnosis_id"]
        server.until(lambda: len(deliveries(server, state="dead")) == 2)
        check_problem(server.client.post("/webhooks/deliveries/dlv_none/retry"), "not_found", 404)
        page = server.get("/webhooks/deliveries?limit=4").json()
        rest = server.get("/webhooks/deliveries", params={"limit": 4, "cursor": page["next_cursor"]}).json()
        assert len({item["id"] for item in page["items"] + rest["items"]}) == 6
        assert rest["next_cursor"] is None
        check_problem(server.get("/webhooks/deliveries?cursor=@"), "invalid_request", 422)


def test_gone_is_told_nothing_more_until_it_is_enabled(start: Start) -> None:
    with Listener(lambda handler, _: handler.answer(410)) as listener:
        server = start(webhook_endpoints=endpoints(main=listener.url), **HASTY)
        server.submit(script())
        server.until(lambda: server.get("/webhooks/endpoints").json()[0]["disabled_at"] is not None)
        state = server.get("/webhooks/endpoints").json()[0]
        assert state["deliveries"] == {"dead": 1}
        assert state["origin"] == listener.url.removesuffix("/hook")
        server.ended(server.submit(script()))
        server.until(lambda: rows(server, "SELECT count(*) FROM settlements WHERE NOT announced") == [(0,)])
        assert len(listener.told) == 1
        dead = deliveries(server)[0]["id"]
        check_problem(server.client.post(f"/webhooks/deliveries/{dead}/retry"), "conflict", 409)
        check_problem(server.client.post("/webhooks/endpoints/none/enable"), "not_found", 404)
        listener.script = lambda handler, _: handler.answer(200)
        assert server.client.post("/webhooks/endpoints/main/enable").status_code == 204
        assert server.client.post(f"/webhooks/deliveries/{dead}/retry").status_code == 202
        server.submit(script())
        server.until(lambda: len(listener.told) == 3)


def test_nothing_private_is_connected_to_unless_it_is_allowed(start: Start) -> None:
    with Listener() as listener:
        named = endpoints(
            number=listener.url, name=f"http://localhost:{listener.port}/", tls=f"https://[::1]:{listener.port}"
        )
        server = start(webhook_endpoints=named, webhook_attempts_limit=1)
        server.submit(script())
        server.until(lambda: len(deliveries(server, state="dead")) == 3)
        assert all("not public" in item["reason"] for item in deliveries(server))
        assert listener.told == []


@pytest.mark.parametrize("victim", ["web", "supervisor"])
def test_a_death_between_ending_and_telling_loses_nothing(start: Start, victim: str) -> None:
    with Listener() as listener:
        server = start(webhook_endpoints=endpoints(main=listener.url), **HASTY)
        job = server.submit(script(seconds=1.0))
        server.until(lambda: server.job(job)["status"] == "running")
        web = server.child("web")
        _freeze(web, server)
        server.until(lambda: rows(server, "SELECT status FROM settlements") == [("succeeded",)])
        assert rows(server, "SELECT * FROM deliveries") == []
        server.kill(victim)
        if victim == "supervisor":
            server.process.wait(10)
            server.start()
        web.wait(10) if victim == "supervisor" else None
        server.until(lambda: [told.event["subject"] for told in listener.told] == [job])


def test_a_death_with_a_delivery_in_hand_loses_nothing(start: Start) -> None:
    with Listener() as listener:
        listener.script = listener.never_answer
        server = start(webhook_endpoints=endpoints(main=listener.url), **HASTY)
        job = server.submit(script())
        server.until(lambda: len(listener.told) == 1)
        listener.script = lambda handler, _: handler.answer(200)
        server.kill("web")
        server.until(lambda: [item["state"] for item in deliveries(server)] == ["delivered"])
        assert [told.event["subject"] for told in listener.told] == [job, job]


def _freeze(process: psutil.Process, server: Server) -> None:
    from tests.app.test_life import freeze

    freeze(process, server)


def test_what_is_deleted_is_told_to_nobody(start: Start) -> None:
    with Listener(lambda handler, _: handler.answer(500)) as listener:
        waiting = HASTY | {"webhook_retry_seconds": 1.5}
        server = start(webhook_endpoints=endpoints(main=listener.url), **waiting)
        job = server.submit(script())
        server.until(lambda: len(listener.told) == 1 and deliveries(server)[0]["reason"] == "It answered 500.")
        assert server.client.delete(f"/diagnoses/{job}").status_code == 204
        assert deliveries(server) == []
        for (table,) in rows(server, "SELECT name FROM sqlite_master WHERE type = 'table'"):
            assert job not in repr(rows(server, f'SELECT * FROM "{table}"'))
        time.sleep(2.5)
        assert len(listener.told) == 1


def test_a_new_endpoint_hears_nothing_old_and_a_returning_one_what_it_missed(start: Start) -> None:
    with Listener() as first, Listener() as second:
        server = start(webhook_endpoints=endpoints(first=first.url), **HASTY)
        old = server.submit(script())
        server.until(lambda: len(first.told) == 1)
        server.stop()
        server.environment["PHASEGAP_WEBHOOK_ENDPOINTS"] = "[]"
        server.start()
        missed = server.ended(server.wait_ready().submit(script()))["id"]
        server.stop()
        server.environment["PHASEGAP_WEBHOOK_ENDPOINTS"] = endpoints(first=first.url, second=second.url)
        server.start()
        server.wait_ready().until(lambda: len(first.told) == 2)
        new = server.submit(script())
        server.until(lambda: len(first.told) == 3 and len(second.told) == 1)
        assert [told.event["subject"] for told in first.told] == [old, missed, new]
        assert [told.event["subject"] for told in second.told] == [new]


def test_secrets_stay_where_they_are_needed(start: Start) -> None:
    with Listener() as listener:
        both = json.dumps([{"url": listener.url + "?token=Zq7", "secret": SECRET, "previous_secret": OTHER_SECRET}])
        server = start(webhook_endpoints=both, **HASTY)
        server.submit(script())
        server.until(lambda: len(listener.told) == 1)
        assert listener.told[0].path == "/hook?token=Zq7"
        assert listener.told[0].is_signed_by(SECRET)
        assert listener.told[0].is_signed_by(OTHER_SECRET)
        assert "PHASEGAP_WEBHOOK_ENDPOINTS" in server.child("web").environ()
        assert "PHASEGAP_WEBHOOK_ENDPOINTS" not in server.child("worker").environ()
        shown = server.get("/webhooks/endpoints").text + server.get("/webhooks/deliveries").text + "".join(server.log)
        for secret in (SECRET, OTHER_SECRET, "Zq7"):
            assert secret not in shown
            assert secret.encode() not in b"".join(path.read_bytes() for path in server.data_dir.glob("*.sqlite*"))
