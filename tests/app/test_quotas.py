"""What owners may use: counted once, held however many come at once, listed, and refused before the body is read."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from app.callers import Quota, Role
from app.errors import TooManyRequests
from app.jobs import ledger
from app.jobs.database import Database
from app.jobs.line import Share
from app.jobs.schema import migrate
from app.jobs.states import Submission
from app.settings import Settings
from app.tenancy.keys import KeyStore, NewKey, newest_key
from app.tenancy.shares import shares_of_keys
from tests.app.conftest import check_problem
from tests.app.double import script
from tests.app.tenants import As, bearer

BATCH = b"PK\x03\x04batch"


def new(admin: As, **wanted: Any) -> As:
    made = admin.call("POST", "/keys", json={"name": "somebody", **wanted}).json()
    return As(admin.server, bearer(made["secret"]), made["id"])


def used(caller: As) -> dict[str, Any]:
    (item,) = caller.get("/usage").json()["items"]
    return dict(item["used"])


def test_jobs_are_counted_and_held(admin: As) -> None:
    caller = new(admin, jobs_limit=2)
    first = caller.submitted(script())
    assert caller.post(script(kind="refused", code="batch_mismatch")).status_code == 422  # accepted, then found wrong
    answer = caller.post(script(name="three"))
    detail = check_problem(answer, "too_many_requests", 429)["detail"]
    assert "2 submissions a day" in detail
    tomorrow_s = 86_400 - datetime.now(UTC).timestamp() % 86_400
    assert abs(int(answer.headers["retry-after"]) - tomorrow_s) < 30
    assert caller.call("DELETE", f"/diagnoses/{first}").status_code == 204
    check_problem(caller.post(script(name="three")), "too_many_requests", 429)  # removing gives nothing back
    assert used(caller)["jobs"] == 2
    sizes = [len(each) + len(BATCH) for each in (script(), script(kind="refused", code="batch_mismatch"))]
    assert used(caller)["bytes"] == sum(sizes)


def test_what_is_not_accepted_costs_nothing(admin: As) -> None:
    caller = new(admin, jobs_limit=2)
    check_problem(caller.post(b"no zip"), "model_unreadable", 422)
    for _ in range(3):
        assert caller.post(script(), headers={"Idempotency-Key": "k"}).status_code == 200
    assert used(caller)["jobs"] == 1
    assert caller.post(script()).status_code == 200, "a report that is reused is a submission"
    assert used(caller)["jobs"] == 2


def only_the_head(caller: As, declared_bytes: int) -> bytes:
    """How the answer to a submission begins of which nothing but the headers was sent."""
    head = (
        "POST /diagnose HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n"
        f"Content-Length: {declared_bytes}\r\nAuthorization: {caller.headers['Authorization']}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", caller.server.port), 10) as connection:
        connection.sendall(head.encode())
        return connection.recv(12)


def test_it_is_refused_before_the_body_is_read(admin: As) -> None:
    assert only_the_head(new(admin, jobs_limit=0), 1_000_000) == b"HTTP/1.1 429"
    assert only_the_head(new(admin, bytes_limit=1_000_000), 5_000_000) == b"HTTP/1.1 413"
    assert only_the_head(new(admin, compute_seconds_limit=0), 1_000_000) == b"HTTP/1.1 429"


def test_bytes_are_held_whether_they_are_declared_or_not(admin: As) -> None:
    model = script()
    room = len(model) + len(BATCH)
    caller = new(admin, bytes_limit=room)
    check_problem(caller.post(script(mention="x" * 100)), "too_many_requests", 429)
    assert used(caller)["bytes"] == 0

    def in_pieces() -> Iterator[bytes]:
        for name, content in (("model", model), ("batch", BATCH)):
            file = f"{name}.{'keras' if name == 'model' else 'npz'}"
            yield f'--B\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'.encode() + content
            yield b"\r\n"
        yield b"--B--\r\n"

    kind = {"Content-Type": "multipart/form-data; boundary=B"}
    assert caller.call("POST", "/diagnose", content=in_pieces(), headers=kind).status_code == 200
    check_problem(caller.call("POST", "/diagnose", content=in_pieces(), headers=kind), "too_many_requests", 429)


def test_time_of_runs_is_counted_those_cut_short_too(admin: As) -> None:
    caller = new(admin, compute_seconds_limit=1.0)
    caller.submitted(script(name="a", seconds=0.5))
    first_s = used(caller)["compute_seconds"]
    assert 0.5 <= first_s < 5
    job = caller.submitted(script(name="b", seconds=30), headers={"Prefer": "respond-async"})
    admin.server.until(lambda: caller.get(f"/diagnoses/{job}").json()["progress"]["stage"] == "verify")
    assert caller.call("DELETE", f"/diagnoses/{job}").status_code == 204
    assert first_s < used(caller)["compute_seconds"] < 20
    again = caller.submitted(script(name="a", seconds=0.5)) if used(caller)["compute_seconds"] < 1 else None
    if again is None or used(caller)["compute_seconds"] >= 1:
        detail = check_problem(caller.post(script(name="c")), "too_many_requests", 429)["detail"]
        assert "1 seconds of running a day" in detail


def test_everybodys_usage_is_the_admins_to_see(admin: As) -> None:
    caller = new(admin, jobs_limit=7)
    caller.submitted(script(name="seen"))
    items = {item["owner"]: item for item in admin.get("/usage").json()["items"]}
    assert items[caller.key_id]["used"]["jobs"] == 1
    assert items[caller.key_id]["limits"] == {"jobs": 7, "bytes": None, "compute_seconds": None}
    assert items[admin.key_id]["limits"]["jobs"] == 50, "what the settings say"
    assert [item["owner"] for item in caller.get("/usage").json()["items"]] == [caller.key_id]
    past = admin.get("/usage", params={"day": "2020-02-29"}).json()
    assert (past["start"], past["end"]) == ("2020-02-29", "2020-03-01")
    assert {item["used"]["jobs"] for item in past["items"]} == {0}


def test_periods_are_of_the_calendar() -> None:
    moment = datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC).timestamp()
    month, day = ledger.period_at(moment, "month"), ledger.period_at(moment, "day")
    assert month == ledger.Period(date(2028, 2, 1), date(2028, 3, 1))
    assert day == ledger.Period(date(2028, 2, 29), date(2028, 3, 1))
    assert month.seconds_left(moment) == day.seconds_left(moment) == 1
    december = ledger.period_at(datetime(2027, 12, 31, tzinfo=UTC).timestamp(), "month")
    assert december.end == date(2028, 1, 1)


def submission(owner: str, quota: Quota) -> Submission:
    blank = dict.fromkeys(
        ("model_stem", "model_file", "batch_file", "model_sha256", "batch_sha256", "content_hash"), ""
    )
    return Submission(
        id=uuid.uuid4().hex, model_bytes=3, batch_bytes=4, options={}, owner=owner, quota=quota, **blank
    )  # fmt: skip


def test_a_quota_holds_however_many_come_at_once(tmp_path: Path) -> None:
    hold_the_quota(Settings(data_dir=tmp_path))


def hold_the_quota(settings: Settings) -> None:
    """Of many threads that submit at once as many get through as the quota has, and the sums say so."""
    migrate(settings)
    database, quota = Database(settings), Quota(jobs=7)

    def one(_: int) -> bool:
        try:
            with database.transaction() as session:
                ledger.charge(session, submission("key_a", quota))
        except TooManyRequests:
            return False
        return True

    with ThreadPoolExecutor(8) as together:
        accepted = sum(together.map(one, range(40)))
    with database.transaction() as session:
        period = ledger.period_at(datetime.now(UTC).timestamp(), "month")
        assert ledger.used_by_all(session, period) == {"key_a": ledger.Used(7, 49, 0.0)}
    database.close()
    assert accepted == 7


def test_the_queue_is_told_how_an_owners_jobs_are_to_be_run(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, key_concurrency_limit=3, key_priority=4)
    migrate(settings)
    database = Database(settings)
    keys, share_of = KeyStore(database), shares_of_keys(settings)

    def own(owner: str) -> tuple[int | None, int] | None:
        with database.transaction() as session:
            key = newest_key(session, owner)
            return None if key is None else (key.concurrency_limit, key.priority)

    def share(owner: str) -> Share:
        with database.transaction() as session:
            return share_of(session, owner)

    first, _ = keys.add(NewKey("a", frozenset({Role.SUBMIT}), concurrency_limit=2, priority=5), "a test")
    assert (own(first.owner), share(first.owner)) == ((2, 5), Share(2, 5))
    second, _ = keys.add(NewKey("b", frozenset({Role.SUBMIT}), owner_of=first.id), "a test")
    assert (own(first.owner), share(first.owner)) == ((None, 0), Share(3, 4))
    keys.revoke(second.id)
    assert (own(first.owner), share(first.owner)) == ((2, 5), Share(2, 5))
    assert own("nobody") is own("") is None
    assert (share("nobody"), share("")) == (Share(3, 4), Share(None, 4))
