"""Keys and what they may do: made, shown once, revoked; roles, rotation, and who sees what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.callers import Role
from app.cli import cli
from app.jobs.database import Database
from app.jobs.schema import migrate
from app.settings import Settings
from app.tenancy.keyring import LOOK_SECONDS
from app.tenancy.keys import KeyStore, NewKey
from tests.app.conftest import check_problem
from tests.app.double import script
from tests.app.served import ROOT, Server
from tests.app.tenants import As, bearer

SEEN_WITHIN_S = LOOK_SECONDS + 1.0


def new(admin: As, *roles: str, **wanted: Any) -> As:
    """A caller with a key of its own, made by the operator."""
    body = {"name": "somebody", **({"roles": roles} if roles else {}), **wanted}
    answer = admin.call("POST", "/keys", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return As(admin.server, bearer(made["secret"]), made["id"])


def run(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`phasegap` as a user calls it."""
    command = [sys.executable, "-m", "app.cli", *words, "--data-dir", str(data_dir)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ, check=False)


def typed(data_dir: Path, *words: str) -> Result:
    """The same within this process, for what needs no process of its own: starting one takes seconds."""
    return CliRunner().invoke(cli, [*words, "--data-dir", str(data_dir)])


def test_the_first_key_closes_the_service_and_its_end_does_not_open_it(start: Callable[..., Server]) -> None:
    server = start()
    before = server.post(script()).json()["id"]
    refused = server.client.post("/keys", json={"name": "mine", "roles": ["admin"]})
    assert "phasegap keys add" in check_problem(refused, "forbidden", 403)["detail"]
    for path in ("/keys", "/audit"):
        check_problem(server.get(path), "forbidden", 403)
    assert server.get("/usage").json()["items"] == []
    made = run(server.data_dir, "keys", "add", "operator", "--role", "admin")
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    server.until(lambda: server.get("/diagnoses").status_code == 401, SEEN_WITHIN_S)
    operator = As(server, bearer(secret))
    assert operator.listed() == {before}, "what was there before is the operator's to see"
    newcomer = new(operator)
    assert newcomer.listed() == set()
    check_problem(newcomer.get(f"/diagnoses/{before}"), "not_found", 404)
    for held in server.data_dir.rglob("*"):
        assert not held.is_file() or secret.encode() not in held.read_bytes(), held
    (root_id,) = {key["id"] for key in operator.get("/keys").json()["items"]} - {newcomer.key_id}
    for key_id in (newcomer.key_id, root_id):
        done = run(server.data_dir, "keys", "revoke", key_id)
        assert done.returncode == 0, done.stderr
    server.until(lambda: operator.get("/diagnoses").status_code == 401, SEEN_WITHIN_S)
    check_problem(server.get("/diagnoses"), "unauthorized", 401)


def test_a_key_may_be_asked_for_before_there_is_one(start: Callable[..., Server]) -> None:
    server = start(keys_required=True)
    check_problem(server.get("/diagnoses"), "unauthorized", 401)
    assert server.get("/health/ready").status_code == 200


def test_what_the_command_line_makes_it_lists_and_revokes(tmp_path: Path) -> None:
    made = typed(tmp_path, "keys", "add", "ci", "--role", "submit", "--expires-days", "30", "--jobs", "5", "--json")
    key = json.loads(made.stdout)
    assert (key["roles"], key["jobs_limit"], key["name"]) == (["submit"], 5, "ci")
    follower = json.loads(typed(tmp_path, "keys", "add", "ci 2", "--owner-of", key["id"], "--json").stdout)
    assert follower["owner"] == key["owner"] == key["id"]
    assert typed(tmp_path, "keys", "revoke", key["id"]).exit_code == 0
    listed = {each["id"]: each for each in json.loads(typed(tmp_path, "keys", "list", "--json").stdout)}
    assert listed[key["id"]]["revoked_at"]
    assert not listed[follower["id"]]["revoked_at"]
    assert "secret" not in listed[key["id"]]
    table = typed(tmp_path, "keys", "list").stdout.splitlines()
    assert [line.split()[-1] for line in table] == ["state", "good", "revoked"]
    for wrong in (("revoke", "key_none"), ("add", "a\u202eb"), ("add", "x", "--owner-of", "key_none")):
        failed = typed(tmp_path, "keys", *wrong)
        assert failed.exit_code == 2, wrong
        assert failed.stderr.strip()
    lines = json.loads(typed(tmp_path, "audit", "--json").stdout)
    assert [(line["action"], line["target"]) for line in lines] == [
        ("key.revoke", key["id"]), ("key.add", follower["id"]), ("key.add", key["id"]),
    ]  # fmt: skip
    assert all(line["actor"].startswith("command line") for line in lines)
    assert "0 of 5" not in typed(tmp_path, "usage").stdout, "the newest key of an owner says what it may"


def test_the_command_line_changes_a_key(tmp_path: Path) -> None:
    key_id = json.loads(typed(tmp_path, "keys", "add", "ci", "--jobs", "5", "--concurrency", "2", "--json").stdout)[
        "id"
    ]
    words = ("--role", "read-all", "--bytes", "7", "--compute-seconds", "1.5", "--priority", "9", "--unset", "jobs")
    changed = json.loads(typed(tmp_path, "keys", "change", key_id, *words, "--json").stdout)
    limits = {name: changed[f"{name}_limit"] for name in ("jobs", "bytes", "compute_seconds", "concurrency")}
    assert limits == {"jobs": None, "bytes": 7, "compute_seconds": 1.5, "concurrency": 2}
    assert (changed["roles"], changed["priority"], changed["name"]) == (["read-all"], 9, "ci")
    both = ("--jobs", "1", "--unset", "jobs")
    for wrong in ((key_id,), ("key_none", "--jobs", "1"), (key_id, *both), (key_id, "--unset", "priority")):
        assert typed(tmp_path, "keys", "change", *wrong).exit_code == 2, wrong
    lines = json.loads(typed(tmp_path, "audit", "--action", "key.change", "--json").stdout)
    assert [(line["target"], line["outcome"]) for line in lines] == [(key_id, "done")]


def test_a_key_is_given_other_roles_limits_and_priority(admin: As) -> None:
    caller = new(admin, "submit", jobs_limit=1, bytes_limit=10_000)
    key = f"/keys/{caller.key_id}"
    caller.submitted(script(name="first"))
    check_problem(caller.post(script(name="second")), "too_many_requests", 429)
    check_problem(caller.get("/diagnoses"), "forbidden", 403)
    check_problem(caller.call("PATCH", key, json={"jobs_limit": 9}), "forbidden", 403)
    answer = admin.call("PATCH", key, json={"jobs_limit": None, "roles": ["submit", "read-own"], "priority": 7})
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    assert (changed["jobs_limit"], changed["bytes_limit"], changed["priority"]) == (None, 10_000, 7)
    assert "secret" not in changed
    caller.submitted(script(name="second"), data={"priority": "7"})
    assert len(caller.listed()) == 2
    used = caller.get("/usage").json()["items"][0]
    assert (used["used"]["jobs"], used["limits"]["jobs"]) == (2, 50), "of the settings, and what was used stays used"
    lines = admin.get("/audit", params={"target": caller.key_id, "action": "key.change"}).json()["items"]
    assert [(line["actor"], line["outcome"], line["status"]) for line in lines] == [
        ("operator", "done", 200), ("somebody", "refused", 403),
    ]  # fmt: skip
    admin.call("DELETE", key)
    check_problem(admin.call("PATCH", key, json={"priority": 1}), "conflict", 409)
    check_problem(admin.call("PATCH", "/keys/key_none", json={"priority": 1}), "not_found", 404)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b'{"roles": []}', b'{"roles": null}', b'{"priority": null}', b'{"name": "b"}',
        b'{"jobs_limit": -1}',
    ],
)  # fmt: skip
def test_what_is_no_change_of_a_key_is_refused(admin: As, body: bytes) -> None:
    check_problem(admin.call("PATCH", f"/keys/{admin.key_id}", content=body), "invalid_request", 422)


def test_no_change_of_a_key_is_overlooked_however_many_come_at_once(tmp_path: Path) -> None:
    """Processes look at the sum of versions: two changes that made one version together would be seen once."""
    database = Database(Settings(data_dir=tmp_path))
    migrate(Settings(data_dir=tmp_path))
    keys = KeyStore(database)
    key, _ = keys.add(NewKey("a", frozenset({Role.SUBMIT})), "a test")
    with ThreadPoolExecutor(8) as together:
        list(together.map(lambda number: keys.change(key.id, {"priority": number % 10}), range(40)))
    assert keys.revoke(key.id).version == 42
    database.close()


def test_roles_give_what_they_say_and_no_more(admin: As) -> None:
    job = admin.submitted(script())
    calls = {
        "submit": lambda caller: caller.post(script(name="r")),
        "delete": lambda caller: caller.call("DELETE", f"/diagnoses/{job}"),
        "read": lambda caller: caller.get("/diagnoses"),
        "page": lambda caller: caller.get("/", headers={"Accept": "text/html"}),
        "another's": lambda caller: caller.get(f"/diagnoses/{job}/report"),
        "metrics": lambda caller: caller.get("/metrics"),
        "endpoints": lambda caller: caller.get("/webhooks/endpoints"),
        "keys": lambda caller: caller.get("/keys"),
        "audit": lambda caller: caller.get("/audit"),
        "usage": lambda caller: caller.get("/usage"),
        "docs": lambda caller: caller.get("/openapi.json"),
    }
    expected = {
        "submit": {"submit": 200, "delete": 404, "usage": 200, "docs": 200},
        "read-own": {"read": 200, "page": 200, "another's": 404, "usage": 200, "docs": 200},
        "read-all": {
            "read": 200, "page": 200, "another's": 200, "metrics": 200, "endpoints": 200, "usage": 200, "docs": 200,
        },
    }  # fmt: skip
    for role, good in expected.items():
        caller = new(admin, role)
        found = {name: call(caller).status_code for name, call in calls.items()}
        assert found == dict.fromkeys(calls, 403) | good, role
    both = new(admin, "submit", "read-all")
    assert both.get(f"/diagnoses/{job}").status_code == 200
    check_problem(both.call("DELETE", f"/diagnoses/{job}"), "not_found", 404)
    assert {name: call(admin).status_code for name, call in calls.items() if name != "another's"} == {
        name: 204 if name == "delete" else 200 for name in calls if name != "another's"
    }


def test_a_key_that_follows_another_has_its_diagnoses(admin: As) -> None:
    first = new(admin)
    made = first.submitted(script(name="kept"))
    follower = new(admin, owner_of=first.key_id)
    assert admin.call("DELETE", f"/keys/{first.key_id}").status_code == 204
    check_problem(first.get("/diagnoses"), "unauthorized", 401)  # at once in the process that was told
    assert follower.listed() == {made}
    listed = {key["id"]: key for key in admin.get("/keys").json()["items"]}
    assert listed[first.key_id]["revoked_at"]
    assert follower.get("/usage").json()["items"][0]["used"]["jobs"] == 1


def test_revoking_elsewhere_and_expiring_are_seen_within_seconds(admin: As) -> None:
    folder = admin.server.data_dir
    revoked, brief = new(admin), new(admin, expires_days=2.0 / 86_400)
    assert revoked.listed() == brief.listed() == set()
    database = Database(Settings(data_dir=folder))
    KeyStore(database).revoke(revoked.key_id)
    database.close()
    admin.server.until(lambda: revoked.get("/diagnoses").status_code == 401, SEEN_WITHIN_S)
    admin.server.until(lambda: brief.get("/diagnoses").status_code == 401, SEEN_WITHIN_S)


def test_a_report_is_reused_within_an_owner_only(admin: As) -> None:
    alice, bob = new(admin), new(admin)
    model = script(name="same", seconds=0.4)

    def seconds(caller: As) -> float:
        began = time.perf_counter()
        assert caller.post(model, headers={"Idempotency-Key": "same"}).status_code == 200
        return time.perf_counter() - began

    first, other = seconds(alice), seconds(bob)
    assert min(first, other) > 0.4, "both were run"
    alice.post(model)
    events = alice.get(f"/diagnoses/{sorted(alice.listed())[0]}/events").text
    assert "event: succeeded" in events
    assert len(alice.listed()) == 2
    runs = [alice.get(f"/diagnoses/{made}/events").text.count("event: running") for made in alice.listed()]
    assert sorted(runs) == [0, 1]
    assert not alice.listed() & bob.listed()


def test_who_waits_is_woken_by_its_own_job_only(admin: As) -> None:
    """One loop looks for all that wait; it must not see with the eyes of the first of them."""
    callers = [new(admin), new(admin), admin]
    with ThreadPoolExecutor(3) as together:
        models = [script(name=f"w{number}", seconds=1.0) for number in range(3)]
        answers = list(together.map(lambda caller, model: caller.post(model), callers, models))
    assert [answer.status_code for answer in answers] == [200, 200, 200]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'{"name": ""}', b'{"name": "a", "roles": []}', b'{"name": "a", "roles": ["root"]}',
        b'{"name": "a", "more": 1}', b'{"name": "a\\u202eb"}', b'{"name": "a", "expires_days": 0}',
        b'{"name": "a", "jobs_limit": -1}', b'{"name": "a", "priority": 1e400}', b'\xff', b'{"name": "\\ud800"}',
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused(admin: As, body: bytes) -> None:
    check_problem(admin.call("POST", "/keys", content=body), "invalid_request", 422)


def test_odd_requests_for_keys_are_answered(admin: As) -> None:
    check_problem(admin.call("POST", "/keys", content=b"x" * 100_000), "payload_too_large", 413)
    check_problem(admin.call("POST", "/keys", json={"name": "a", "owner_of": "key_none"}), "not_found", 404)
    check_problem(admin.call("DELETE", "/keys/key_none"), "not_found", 404)
    check_problem(As(admin.server, bearer("x" * 5000)).get("/diagnoses"), "unauthorized", 401)
    check_problem(As(admin.server, bearer("eyJ.eyJ.sig")).get("/diagnoses"), "unauthorized", 401)
    check_problem(admin.get("/usage", params={"day": "9999-12-31"}), "invalid_request", 422)
    page = admin.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 200
    shown = new(admin, "submit").get("/", headers={"Accept": "text/html"})
    assert shown.status_code == 403
    assert "read" in shown.text
