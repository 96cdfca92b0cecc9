"""The client against a real service whose worker plays scripts: waiting, errors, keys, breakdowns."""

from __future__ import annotations

import email.utils
import hashlib
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import phasegap
from phasegap.retry_after import seconds_of
from tests.app.conftest import QUICK
from tests.app.double import script
from tests.app.served import Server

X = np.zeros((4, 2), "float32")


@pytest.fixture
def client(server: Server) -> Any:
    with phasegap.Client(server.url) as opened:
        yield opened


def test_a_report_comes_back_typed_and_every_stage_is_told(client: phasegap.Client) -> None:
    told: list[tuple[str, float]] = []
    report = client.diagnose(script(name="tiny"), X, [0, 1, 0, 1], progress=lambda *step: told.append(step))
    assert (report.verdict, report.severity, report.model.name) == ("phase_gap", "critical", "tiny")
    assert report.layer_findings[0].effective_updates == 5.0
    assert told[0] == ("upload", 0.0)
    done = [step for step in told if step[0] in ("load", "measure", "verify")]
    assert done == [("load", 0.2), ("measure", 0.6), ("verify", 0.9)]
    assert told[-1][1] == 1.0
    assert client.report(report.id).to_json() == report.to_json()


def test_options_arrive(client: phasegap.Client) -> None:
    with pytest.raises(phasegap.InputProblem) as refused:
        client.submit(script(), X, batch_size=0)
    assert (refused.value.code, refused.value.status) == ("invalid_request", 422)
    assert "batch_size" in refused.value.detail
    options = {"metrics": ["accuracy", "mse"], "reported": {"loss": np.float32(0.5)}, "seed": 3, "loss": "mse"}
    assert client.submit(script(), X, **options).status == "queued"


def test_what_failed_is_an_error_with_its_detail(client: phasegap.Client) -> None:
    with pytest.raises(phasegap.InputProblem, match="the images are upside down") as failed:
        client.diagnose(script(kind="refused", code="batch_mismatch", detail="the images are upside down"), X)
    assert failed.value.code == "batch_mismatch"
    assert client.job(str(failed.value.diagnosis_id)).status == "failed"


def test_the_repaired_model_is_fetched_or_missed(client: phasegap.Client, tmp_path: Path) -> None:
    repaired = client.diagnose(script(repaired=True), X)
    assert repaired.download_repaired(tmp_path).read_bytes() == b"a repaired model"
    assert repaired.download_repaired(tmp_path / "mine.keras") == tmp_path / "mine.keras"
    without = client.diagnose(script(), X)
    with pytest.raises(phasegap.NotFound, match="no repaired model"):
        without.download_repaired(tmp_path / "none.keras")
    assert not (tmp_path / "none.keras").exists()


def test_time_that_is_up_is_no_end(client: phasegap.Client) -> None:
    with pytest.raises(phasegap.NotFinishedInTime) as late:
        client.diagnose(script(seconds=1.5), X, wait_seconds=0.3)
    assert client.wait(late.value.diagnosis_id).verdict == "phase_gap"


def test_lists_pages_and_deletes(client: phasegap.Client) -> None:
    made = [client.submit(script(name=f"listed-{i}"), X).id for i in range(23)]
    assert {job.id for job in client.diagnoses()} >= set(made)
    client.wait(made[0])
    assert [job.id for job in client.diagnoses(model_name="listed-0")] == made[:1]
    client.delete(made[0])
    with pytest.raises(phasegap.NotFound):
        client.job(made[0])


def test_one_key_is_one_diagnosis(client: phasegap.Client) -> None:
    first, second = (client.submit(script(), X, idempotency_key="client-1") for _ in range(2))
    assert first.id == second.id
    assert client.submit(script(), X).id != first.id


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that wants a key, lets one job wait, and remembers reports."""
    keys = f'["{hashlib.sha256(b"sesame").hexdigest()}"]'
    settings = {"queue_limit_jobs": 1, "queue_full_retry_after_seconds": 1, "reuse_reports": True}
    running = Server(tmp_path_factory.mktemp("strict"), api_key_hashes=keys, **settings, **QUICK)
    running.client.headers["X-API-Key"] = "sesame"
    yield running.wait_ready()
    assert running.stop() == 0


@pytest.fixture
def known(strict: Server) -> Iterator[phasegap.Client]:
    with phasegap.Client(strict.url, api_key="sesame") as opened:
        yield opened


def test_keys_are_sent(strict: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with phasegap.Client(strict.url) as stranger, pytest.raises(phasegap.Unauthorized, match="API key"):
        stranger.diagnose(script(), X)
    monkeypatch.setenv("PHASEGAP_SERVER", strict.url)
    monkeypatch.setenv("PHASEGAP_API_KEY", "sesame")
    with phasegap.Client() as from_environment:
        assert from_environment.diagnose(script(), X).verdict == "phase_gap"


def test_a_report_that_is_there_comes_at_once(known: phasegap.Client) -> None:
    first, second = (known.diagnose(script(name="again"), X) for _ in range(2))
    assert first.id != second.id
    assert known.submit(script(name="again"), X).status == "succeeded"


def test_a_full_queue_is_waited_for_within_bounds(strict: Server, known: phasegap.Client) -> None:
    running = known.submit(script(seconds=2.0), X)
    strict.until(lambda: known.job(running.id).status == "running")
    waiting = known.submit(script(seconds=0.1), X)
    with phasegap.Client(strict.url, api_key="sesame", retry_seconds=0) as hasty:
        with pytest.raises(phasegap.Busy) as full:
            hasty.submit(script(name="hasty"), X)
        assert (full.value.code, full.value.status) == ("queue_full", 503)
    assert known.job(waiting.id).status == "queued"
    patient = known.submit(script(name="patient"), X)
    assert known.job(waiting.id).status != "queued"
    assert known.wait(patient.id).model.name == "patient"


@pytest.mark.slow
def test_a_restart_of_the_web_process_is_waited_through(strict: Server, known: phasegap.Client) -> None:
    job = known.submit(script(seconds=1.0, name="long"), X)
    strict.until(lambda: known.job(job.id).status == "running")
    threading.Timer(0.3, lambda: strict.kill("web")).start()
    assert known.wait(job.id).verdict == "phase_gap"


def test_a_proxy_is_not_asked_for_this_machine(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with phasegap.Client(server.url) as client:
        assert client.submit(script(), X).id


def test_nobody_at_the_address_is_said_at_once() -> None:
    started_s = time.monotonic()
    with phasegap.Client("http://127.0.0.1:9") as client, pytest.raises(phasegap.ServiceUnreachable, match=":9"):
        client.diagnose(script(), X)
    assert time.monotonic() - started_s < 5


def test_what_cannot_be_sent_is_refused_here(client: phasegap.Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.keras"):
        client.submit(tmp_path / "nothing.keras", X)
    with pytest.raises(TypeError, match="Keras model, a path or bytes"):
        client.submit(3, X)
    with pytest.raises(TypeError, match="different lengths"):
        client.submit(script(), np.array([[1], [1, 2]], dtype=object))
    with pytest.raises(TypeError, match="leave out y"):
        client.submit(script(), b"PK\x03\x04", [1])
    with pytest.raises(TypeError, match="Take a sample"):
        client.submit(script(), iter([1]))


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert seconds_of(soon) == pytest.approx(89.5, abs=1.5)
    assert [seconds_of(text) for text in ("7", " 0 ", "1.5")] == [7.0, 0.0, 1.5]
    assert seconds_of("Sun, 06 Nov 1994 08:49:37 -0000") == 0.0
    unreadable = ["", "-1", "soon", "inf", "9" * 400, "Mon, 01 Jan 99999999999 00:00:00 GMT"]
    assert [seconds_of(text) for text in unreadable] == [None] * len(unreadable)
