"""The service with its files in a bucket: the same answers as with a folder, and what it does while that fails."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

import phasegap
from app.settings import Settings
from tests.app.bucket_served import BUCKET, BucketServer
from tests.app.conftest import QUICK, check_problem
from tests.app.double import script
from tests.app.faulty import FaultyProxy
from tests.app.served import Server
from tests.app.test_blobs import point_at

URL = f"s3://{BUCKET}/phasegap"
ASYNC = {"Prefer": "respond-async"}
LARGE = 9_000_000
RANGES = [
    None, "bytes=0-0", "bytes=2-5", "bytes=-3", "bytes=4-", "bytes=0-1,6-7", "bytes=0-3,2-9", "bytes=900-", "bytes=x",
    "bytes=5-2", "apples=1-2",
]  # fmt: skip


class Stored:
    """A service whose files go through a proxy into a bucket."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.bucket = BucketServer()
        self.proxy = FaultyProxy(self.bucket.url)
        self.bucket.__enter__()
        self.proxy.__enter__()
        with pytest.MonkeyPatch.context() as patch:
            point_at(self.proxy.url, patch)
            self.server = Server(folder / "data", store_url=URL, **(QUICK | settings))
        self.server.wait_ready()

    def away(self, when: Callable[[str], bool] = lambda request: True) -> None:
        """Fail everything, or those requests."""
        self.proxy.when, self.proxy.every, self.proxy.kinds = when, 1, ("unavailable", "reset")

    def back(self) -> None:
        self.proxy.every = 0

    def kept(self) -> list[str]:
        return [key for key in self.bucket.objects if "/diagnoses/" in key]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.server.data_dir / "phasegap.sqlite") as database:
            return database.execute(query).fetchall()

    def close(self) -> None:
        self.server.stop()
        self.proxy.__exit__(None, None, None)
        self.bucket.__exit__(None, None, None)


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """For tests that leave it as they find it, up to what it has stored."""
    one = Stored(tmp_path_factory.mktemp("steady"), slots=4, store_seconds=20, reuse_reports=True)
    yield one
    one.close()


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Callable[..., Stored]]:
    """Starts one with settings of its own."""
    begun: list[Stored] = []

    def begin(**settings: Any) -> Stored:
        begun.append(Stored(tmp_path, **({"store_seconds": 1} | settings)))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


def test_answers_are_those_of_a_folder(steady: Stored, server: Server) -> None:
    here = steady
    ids = {service: service.submit(script(repaired=True, name="n")) for service in (server, here.server)}
    for service, diagnosis_id in ids.items():
        assert service.ended(diagnosis_id)["status"] == "succeeded"
    assert not [name for name in here.server.stored_files() if "diagnoses" in name or "incoming" in name]
    for asked in RANGES:
        headers = {} if asked is None else {"Range": asked}
        theirs, ours = (service.get(f"/diagnoses/{one}/model", headers=headers) for service, one in ids.items())
        assert (ours.status_code, _parts(ours)) == (theirs.status_code, _parts(theirs)), asked
        assert set(ours.headers) == set(theirs.headers), asked
        for name in ("content-range", "content-length", "content-disposition", "accept-ranges"):
            assert ours.headers.get(name) == theirs.headers.get(name), (asked, name)
    _check_validators(here.server, f"/diagnoses/{ids[here.server]}/model")
    assert "html" in here.server.get(f"/diagnoses/{ids[here.server]}/report", headers={"Accept": "text/html"}).text
    assert here.server.client.delete(f"/diagnoses/{ids[here.server]}").status_code == 204
    assert not here.kept()


def _parts(answer: httpx.Response) -> bytes:
    """The body without what is made up anew each time."""
    kind = answer.headers["content-type"]
    if "boundary=" not in kind:
        return answer.content if answer.status_code < 400 else json.dumps(answer.json()["code"]).encode()
    return answer.content.replace(kind.partition("boundary=")[2].encode(), b"BOUNDARY")


def _check_validators(service: Server, path: str) -> None:
    whole = service.get(path)
    for name in ("etag", "last-modified"):
        given = {"Range": "bytes=0-1", "If-Range": whole.headers[name]}
        assert service.get(path, headers=given).status_code == 206
    assert service.get(path, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status_code == 200
    head = service.client.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "16")


def test_a_bucket_that_fails_every_third_request_costs_no_job_and_leaves_nothing(steady: Stored) -> None:
    here = steady
    here.proxy.every = 3
    models = [script(repaired=True, name=f"n{number}") for number in range(8)]
    ids = [here.server.submit(model.ljust(LARGE) if model is models[0] else model) for model in models]
    for diagnosis_id in ids:
        assert here.server.ended(diagnosis_id)["status"] == "succeeded"
        assert here.server.get(f"/diagnoses/{diagnosis_id}/report").json()["id"] == diagnosis_id
        assert here.server.get(f"/diagnoses/{diagnosis_id}/model").content == b"a repaired model"
    assert Counter(row[0] for row in here.rows("SELECT diagnosis_id FROM settlements")) == Counter(ids)
    assert min(here.proxy.spoilt.values()) > 5
    assert len(here.kept()) == 4 * len(ids)
    for diagnosis_id in ids:
        assert here.server.client.delete(f"/diagnoses/{diagnosis_id}").status_code == 204
    assert not here.kept()
    here.back()
    here.server.until(lambda: not here.server.stored_files(), 10)


def test_a_bucket_that_is_away_is_told_and_costs_no_job(stored: Callable[..., Stored]) -> None:
    here = stored(slots=2, attempts_limit=2)
    service = here.server
    done = service.submit(script(repaired=True))
    service.ended(done)
    _check_accepted_without_a_report(here)
    under_way = [service.submit(script(seconds=1.0)) for _ in range(4)]
    here.away()
    problem = check_problem(service.post(script()), "insufficient_storage", 507)
    assert "store of files" in problem["detail"]
    service.until(lambda: service.get("/health/ready").status_code == 503, 15)
    checks = service.get("/health/ready").json()["checks"]
    assert {name for name, check in checks.items() if not check["ok"]} == {"store"}
    refused = service.post(script())
    check_problem(refused, "insufficient_storage", 507)
    assert int(refused.headers["retry-after"]) > 0
    started_s = time.monotonic()
    for path in (f"/diagnoses/{done}/report", f"/diagnoses/{done}/model", f"/diagnoses/{done}"):
        answer = service.get(path)
        check_problem(answer, "internal", 503)
        assert int(answer.headers["retry-after"]) > 0
    check_problem(service.client.delete(f"/diagnoses/{done}"), "internal", 503)
    assert time.monotonic() - started_s < 5.0, "nobody waits for what will not come"
    assert service.get("/health/live").status_code == 200
    service.until(lambda: len(here.rows("SELECT id FROM diagnoses WHERE attempt > 1")) >= 2, 20)
    time.sleep(1.5)
    attempts = [row[0] for row in here.rows("SELECT attempt FROM diagnoses WHERE status != 'succeeded'")]
    assert max(attempts) <= 3, "an outage costs a slot one run, not one after the other"
    assert "phasegap_store_reachable 0.0" in service.get("/metrics").text
    sent: list[str] = []
    client = phasegap.Client(service.url, retry_seconds=60)
    sending = threading.Thread(target=lambda: sent.append(client.submit(script(), [[1.0]]).id))
    sending.start()
    here.back()
    service.until(lambda: service.get("/health/ready").status_code == 200, 15)
    sending.join(30)
    assert service.ended(sent[0])["status"] == "succeeded", "a client of ours waits and sends again"
    assert [service.ended(diagnosis_id)["status"] for diagnosis_id in under_way] == ["succeeded"] * 4
    assert here.rows("SELECT sum(crashes) FROM diagnoses") == [(0,)]
    assert len(here.rows("SELECT id FROM diagnoses")) == 7, "what was refused is no job"
    assert service.post(script()).status_code == 200


def _check_accepted_without_a_report(here: Stored) -> None:
    here.away(lambda request: request.startswith(("GET", "HEAD")) and "report.json" in request)
    answer = here.server.post(script())
    assert answer.status_code == 202, "its report cannot be had, and sent again it would be run again"
    assert answer.json()["status"] == "succeeded"
    here.back()
    here.server.until(lambda: here.server.get(answer.headers["location"]).status_code == 200, 10)
    assert here.server.job(answer.json()["id"])["report"]["verdict"] == "phase_gap"


@pytest.mark.slow
def test_a_job_whose_files_never_come_is_given_up(stored: Callable[..., Stored]) -> None:
    here = stored(store_patience_seconds=2, store_seconds=0.5)
    here.away(lambda request: request.startswith(("GET", "HEAD")) and "/upload/" in request)
    job = here.server.ended(here.server.submit(script()), 30)
    assert (job["status"], job["error"]["code"]) == ("failed", "internal")
    assert "could not be reached" in job["error"]["detail"]
    assert 1 < job["attempt"] < 12
    assert here.server.post(script(), headers=ASYNC).status_code == 202, "the store itself is there"


def test_repeats_have_files_of_their_own(steady: Stored) -> None:
    service, model = steady.server, script(repaired=True, name="again")
    first = service.submit(model)
    service.ended(first)
    second = service.post(model).json()["id"]
    assert second != first
    assert steady.rows(f"SELECT settled_by FROM settlements WHERE diagnosis_id = '{second}'") == [("same content",)]
    assert service.client.delete(f"/diagnoses/{first}").status_code == 204
    assert service.get(f"/diagnoses/{second}/model").content == b"a repaired model"
    assert service.client.delete(f"/diagnoses/{second}").status_code == 204
    assert not steady.kept()


@pytest.mark.parametrize(
    "url", ["s3://Bucket", "file:///tmp/x", "s3://key:secret@bucket", "s3:///x", "s3://b/a b", "x"]
)
def test_what_is_no_bucket_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError, match="bucket"):
        Settings(store_url=url)
    assert Settings(store_url="s3://bucket/a/b/").store_url == "s3://bucket/a/b"
    assert Settings(store_url="").store_url is None
