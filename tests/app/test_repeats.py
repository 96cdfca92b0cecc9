"""The same content again: the report that is there, as a diagnosis of its own, and no second run."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from app.worker.edition import edition_of
from tests.app.conftest import QUICK
from tests.app.double import script
from tests.app.served import Server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("repeats") / "data", reuse_reports=True, **QUICK)
    yield server.wait_ready()
    server.stop()


@pytest.fixture
def reusing(shared: Server) -> Server:
    """The server without any diagnosis; what it logged before does not count."""
    for job in shared.get("/diagnoses", params={"limit": 100}).json()["items"]:
        assert shared.client.delete(f"/diagnoses/{job['id']}").status_code == 204
    runs(shared)
    shared.log.clear()
    return shared


def runs(server: Server) -> list[str]:
    """Which diagnoses were run, by the log."""
    time.sleep(0.2)
    return [line for line in server.log if "run_ended" in line]


def without_id(report: dict) -> dict:
    return {name: value for name, value in report.items() if name != "id"}


def test_the_same_content_is_run_once(reusing: Server) -> None:
    model = script(seconds=0.3, repaired=True)
    first, again = (reusing.post(model).json() for _ in range(2))
    assert first["id"] != again["id"]
    assert without_id(first) == without_id(again)
    assert len(runs(reusing)) == 1
    job = reusing.get(f"/diagnoses/{again['id']}").json()
    assert (job["status"], job["progress"]["fraction"], job["report"]["id"]) == ("succeeded", 1.0, again["id"])
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    models = [reusing.get(f"/diagnoses/{report['id']}/model").content for report in (first, again)]
    assert models[0] == models[1] == b"a repaired model"


@pytest.mark.parametrize("other", [{"seed": "1"}, {"loss": "mse"}, {"batch_size": "2"}, {"reported": '{"loss": 1}'}])
def test_other_options_are_run(reusing: Server, other: dict[str, str]) -> None:
    for options in ({}, other):
        assert reusing.post(script(seconds=0.0), data=options).status_code == 200
    assert len(runs(reusing)) == 2


def test_other_files_are_run(reusing: Server) -> None:
    for model, batch in ((script(), b"PK\x03\x04a"), (script(), b"PK\x03\x04b"), (script(name="n"), b"PK\x03\x04a")):
        assert reusing.post(model, batch).status_code == 200
    assert len(runs(reusing)) == 3


def test_what_failed_is_run_again(reusing: Server) -> None:
    refusal = script(kind="refused", code="model_unsafe")
    codes = [reusing.post(refusal).status_code for _ in range(2)]
    assert codes == [422, 422]
    assert len(runs(reusing)) == 2


@pytest.mark.parametrize("removed", [0, 1])
def test_removing_one_leaves_the_other_whole(reusing: Server, removed: int) -> None:
    model = script(seconds=0.0, repaired=True)
    ids = [reusing.post(model).json()["id"] for _ in range(2)]
    assert reusing.client.delete(f"/diagnoses/{ids[removed]}").status_code == 204
    assert reusing.get(f"/diagnoses/{ids[removed]}").status_code == 404
    kept = ids[1 - removed]
    assert reusing.get(f"/diagnoses/{kept}/report").json()["id"] == kept
    assert reusing.get(f"/diagnoses/{kept}/model").content == b"a repaired model"
    assert reusing.post(model).status_code == 200
    assert len(runs(reusing)) == 1, "the one that is left answers for the content"


def test_after_all_are_removed_the_content_is_run_again(reusing: Server) -> None:
    for _ in range(2):
        answer = reusing.post(script(seconds=0.0))
        reusing.client.delete(f"/diagnoses/{answer.json()['id']}")
    assert len(runs(reusing)) == 2


def test_a_lost_report_is_made_anew(reusing: Server) -> None:
    first = reusing.post(script(seconds=0.0)).json()["id"]
    for path in (reusing.data_dir / "blobs" / "diagnoses" / first).rglob("report.json"):
        path.unlink()
    assert reusing.post(script(seconds=0.0)).status_code == 200
    assert len(runs(reusing)) == 2


def test_a_report_of_another_edition_is_not_given_again(reusing: Server) -> None:
    reusing.post(script(seconds=0.0))
    with sqlite3.connect(next(reusing.data_dir.glob("*.sqlite*"))) as database:
        assert database.execute("update diagnoses set edition = 'another'").rowcount == 1
    reusing.post(script(seconds=0.0))
    assert len(runs(reusing)) == 2


def test_keys_stand_for_the_repeat_too(reusing: Server) -> None:
    reusing.post(script(seconds=0.0))
    keyed = [reusing.post(script(seconds=0.0), headers={"Idempotency-Key": "k"}).json()["id"] for _ in range(2)]
    assert keyed[0] == keyed[1]
    refused = reusing.post(script(seconds=0.1), headers={"Idempotency-Key": "k"})
    assert refused.status_code == 422
    assert len(runs(reusing)) == 1


def test_it_leaves_no_upload_behind_and_takes_no_time(reusing: Server) -> None:
    model = script(seconds=0.5)
    reusing.post(model)
    seconds = []
    for _ in range(9):
        began = time.perf_counter()
        assert reusing.post(model).status_code == 200
        seconds.append(time.perf_counter() - began)
    assert statistics.median(seconds) < 0.2, "half of the run would be 0.25"
    homes = list((reusing.data_dir / "blobs" / "diagnoses").iterdir())
    assert sorted(len(list(home.glob("upload"))) for home in homes) == [0] * 9 + [1]
    assert not list((reusing.data_dir / "blobs" / "incoming").glob("*/*"))


def test_registered_classes_make_no_edition(tmp_path: Path) -> None:
    plain, other = Settings(data_dir=tmp_path), Settings(data_dir=tmp_path, custom_classes_modules=("mine",))
    assert len(str(edition_of(plain))) == 32
    assert edition_of(other) is None
