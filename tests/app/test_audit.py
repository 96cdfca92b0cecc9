"""The audit log: a line for what was done and for what was refused, that nobody changes and no flood fills."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.api.audited import REFUSALS_PER_MINUTE
from app.jobs.database import Database
from app.jobs.schema import migrate
from app.settings import Settings
from app.tenancy import keyring
from app.tenancy.audit import Act, AuditFilters, AuditLog
from app.tenancy.models import AuditLine
from tests.app.double import script
from tests.app.served import Server
from tests.app.tenants import As, bearer, made_key

DAY_S = 86_400


def test_what_is_done_and_what_is_refused_is_written_down(admin: As) -> None:
    made = admin.call("POST", "/keys", json={"name": "alice"}).json()
    alice = As(admin.server, bearer(made["secret"]), made["id"])
    job = alice.submitted(script(repaired=True))
    alice.get(f"/diagnoses/{job}")  # asking how far it is, is not written down
    alice.get(f"/diagnoses/{job}/model")
    alice.get("/metrics")
    admin.get(f"/diagnoses/{job}/report")
    alice.call("DELETE", f"/diagnoses/{job}")
    alice.call("DELETE", f"/diagnoses/{job}\u202e<b>")
    admin.call("DELETE", f"/keys/{made['id']}")
    lines = admin.get("/audit", params={"limit": 8}).json()["items"]
    assert [(line["actor"], line["action"], line["target"], line["outcome"], line["status"]) for line in lines] == [
        ("operator", "key.revoke", made["id"], "done", 204),
        ("alice", "diagnosis.delete", "(no valid name)", "refused", 404),
        ("alice", "diagnosis.delete", job, "done", 204),
        ("operator", "report.read", job, "done", 200),
        ("alice", "GET /metrics", "", "refused", 403),
        ("alice", "model.read", job, "done", 200),
        ("alice", "diagnosis.submit", job, "done", 200),
        ("operator", "key.add", made["id"], "done", 201),
    ]
    assert {line["address"] for line in lines} == {"127.0.0.1"}
    assert {line["key_id"] for line in lines} == {made["id"], admin.key_id}
    assert made["secret"] not in str(lines)
    of_job = admin.get("/audit", params={"target": job, "action": "model.read", "owner": made["id"]}).json()["items"]
    assert len(of_job) == 1


def test_pages_lead_through_all_of_it(admin: As) -> None:
    total = len(admin.get("/audit", params={"limit": 500}).json()["items"])  # looking is written down, too
    seen: list[int] = []
    page = admin.get("/audit", params={"limit": 4}).json()
    newest = page["items"][0]["number"]
    while True:
        seen += [line["number"] for line in page["items"]]
        if page["next_before"] is None:
            break
        page = admin.get("/audit", params={"limit": 4, "before": page["next_before"]}).json()
    assert seen == list(range(newest, newest - len(seen), -1))
    assert len(seen) == total + 1
    assert admin.get("/audit", params={"since": time.time() + 60}).json()["items"] == []


def test_a_flood_of_refusals_does_not_fill_it(admin: As) -> None:
    stranger, began_s = As(admin.server, bearer("wrong")), time.monotonic()
    before = len(admin.get("/audit", params={"limit": 500, "action": "authenticate"}).json()["items"])
    for _ in range(REFUSALS_PER_MINUTE + 40):
        assert stranger.get("/diagnoses").status_code == 401
    lines = admin.get("/audit", params={"limit": 500, "action": "authenticate"}).json()["items"]
    refilled = (time.monotonic() - began_s) * REFUSALS_PER_MINUTE / 60
    assert 0 < len(lines) - before <= REFUSALS_PER_MINUTE + refilled + 1
    assert {(line["actor"], line["owner"], line["status"]) for line in lines} == {("", "", 401)}


def test_where_nobody_is_asked_for_a_key_nothing_is_written(server: Server) -> None:
    server.post(script())
    with sqlite3.connect(server.data_dir / "phasegap.sqlite") as database:
        for table in ("audit", "usages", "api_keys"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_lines_stay_as_they_are(tmp_path: Path) -> None:
    keep_the_lines(Settings(data_dir=tmp_path))


def keep_the_lines(settings: Settings) -> None:
    """Neither changed nor taken away while they are young; what is old enough goes."""
    migrate(settings)
    database = Database(settings)
    log = AuditLog(database)
    for number in range(3):
        log.record(Act("test", "done", str(number)))
    for attempt in (sa.update(AuditLine).values(actor="nobody"), sa.delete(AuditLine)):
        with pytest.raises(DBAPIError, match="append-only"), database.transaction() as session:
            session.execute(attempt)
    with database.transaction() as session:
        old = AuditLine(**vars(Act("test", "done", "old")), at=time.time() - 40 * DAY_S)
        session.add(old)
    assert log.expire(365) == 0
    assert log.expire(35) == 1
    assert [line.target for line in log.page(AuditFilters(), 10)] == ["2", "1", "0"]
    database.close()


def test_keys_cost_a_request_no_query_and_close_when_they_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    from app.errors import NotReady

    key_id, _ = made_key(tmp_path, "somebody")
    database = Database(Settings(data_dir=tmp_path))
    asked: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    ring = keyring.Keyring(database)

    async def look(times: int) -> keyring.Snapshot:
        for _ in range(times):
            snapshot = await ring.current()
        return snapshot

    found = asyncio.run(look(1000))
    assert [key.id for key in found.by_digest.values()] == [key_id]
    assert len(asked) == 2
    ring.look_again()
    asyncio.run(look(1000))
    assert len(asked) == 3, "nothing has changed: the keys are not read again"
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE api_keys RENAME TO away")
    ring.look_again()
    assert asyncio.run(look(1)).any_was_made, "what was known is good for a while"
    monkeypatch.setattr(keyring, "STALE_SECONDS", 0.0)
    ring.look_again()
    with pytest.raises(NotReady):
        asyncio.run(look(1))
    with pytest.raises(NotReady):
        asyncio.run(keyring.Keyring(database).current())
