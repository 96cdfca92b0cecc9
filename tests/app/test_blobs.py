"""What a store of files promises, held against every store there is: a folder, and buckets behind HTTP servers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import app.blobs.bucket
import app.blobs.local
import app.blobs.objects
from app.blobs.base import REPAIRED, REPORT, BlobStore, Upload, UploadDamagedError
from app.blobs.bucket import PARTS, BucketBlobs
from app.blobs.local import LocalBlobs
from app.errors import NotFound, StoreAway
from tests.app.bucket_served import BUCKET, CREDENTIALS, BucketServer
from tests.app.faulty import FaultyProxy
from tests.app.moto import moto_served

LARGE_BYTES = 20_000_000
"""More than two parts of an upload and two pieces of a download."""
FIRST, SECOND = "0a" + 30 * "1", "0b" + 30 * "2"
LIMIT_S = 20.0

DIES = """
import os, signal, sys
from pathlib import Path
from app.settings import Settings
from app.blobs.opening import open_blobs
blobs = open_blobs(Settings())
for name in sys.argv[1:]:
    (blobs.receive(name) / "model.keras").write_bytes(b"model")
for name in sys.argv[1:-1]:
    blobs.accept(name)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto_served(tmp_path_factory.mktemp("moto")) as url:
        yield url


def point_at(url: str, patch: pytest.MonkeyPatch) -> None:
    account = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        **CREDENTIALS,
        "GOOGLE_BASE_URL": url,
        "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account),
    }.items():
        patch.setenv(name, value)


@pytest.fixture(
    params=["folder", "bucket", "gs bucket", pytest.param("moto", marks=pytest.mark.slow)],
)
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str | None]:
    """Where a store is to be; None for a folder."""
    if request.param == "folder":
        yield None
    elif request.param == "moto":
        point_at(request.getfixturevalue("moto"), monkeypatch)
        yield f"s3://{BUCKET}/{os.urandom(4).hex()}"
    else:
        is_google = request.param == "gs bucket"
        with BucketServer(asks_for_keys=not is_google) as server:
            point_at(server.url, monkeypatch)
            yield f"{'gs' if is_google else 's3'}://{BUCKET}/some/prefix"


@pytest.fixture
def blobs(url: str | None, tmp_path: Path) -> Iterator[BlobStore]:
    store: BlobStore = LocalBlobs(tmp_path / "blobs") if url is None else BucketBlobs(url, tmp_path / "blobs", LIMIT_S)
    yield store
    store.close()


def accepted(blobs: BlobStore, diagnosis_id: str, content: bytes) -> Upload:
    (blobs.receive(diagnosis_id) / "model.keras").write_bytes(content)
    blobs.accept(diagnosis_id)
    blobs.discard(diagnosis_id)
    return Upload("model.keras", len(content), hashlib.sha256(content).hexdigest())


def sweep(blobs: BlobStore, known: set[str]) -> int:
    """A whole round, however many parts the store has."""
    return sum(blobs.sweep(lambda ids: known.intersection(ids)) for _ in range(PARTS))


def files_below(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_an_upload_comes_back_as_it_was(blobs: BlobStore, tmp_path: Path) -> None:
    for content in (b"small", os.urandom(LARGE_BYTES)):
        upload = accepted(blobs, diagnosis_id := os.urandom(16).hex(), content)
        blobs.fetch_upload(diagnosis_id, upload, tmp_path / diagnosis_id)
        assert (tmp_path / diagnosis_id).read_bytes() == content
    assert not files_below(tmp_path / "blobs" / "incoming")


def test_what_is_not_accepted_leaves_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    (blobs.receive(FIRST) / "model.keras").write_bytes(b"model")
    blobs.discard(FIRST)
    with pytest.raises(NotFound):
        blobs.fetch_upload(FIRST, Upload("model.keras", 5, "0"), tmp_path / "target")
    assert not files_below(tmp_path / "blobs")


def test_outputs_are_kept_by_attempt(blobs: BlobStore, tmp_path: Path) -> None:
    accepted(blobs, FIRST, b"model")
    large = os.urandom(LARGE_BYTES)
    for attempt, content in ((1, b"first"), (2, large)):
        (tmp_path / "written").write_bytes(content)
        blobs.put_output(FIRST, attempt, REPAIRED, tmp_path / "written")
        assert not (tmp_path / "written").exists()
    blobs.write_output(FIRST, 1, REPORT, b"{}")
    blobs.link_output((FIRST, 2), (SECOND, 1), REPAIRED)
    assert [blobs.read_output(FIRST, n, REPAIRED) for n in (1, 2)] == [b"first", large]
    blobs.remove_attempt(FIRST, 1)
    for name in (REPAIRED, REPORT):
        with pytest.raises(NotFound):
            blobs.output(FIRST, 1, name)
        with pytest.raises((NotFound, FileNotFoundError)):
            blobs.read_output(FIRST, 1, name)
    blobs.remove(FIRST)
    assert blobs.read_output(SECOND, 1, REPAIRED) == large, "a repeat has files of its own"
    with pytest.raises(NotFound):
        blobs.link_output((FIRST, 2), (SECOND, 2), REPAIRED)


def test_what_is_removed_is_gone_and_may_be_removed_again(blobs: BlobStore, tmp_path: Path) -> None:
    upload = accepted(blobs, FIRST, b"model")
    blobs.write_output(FIRST, 3, REPORT, b"{}")
    for _ in range(2):
        blobs.remove(FIRST)
        with pytest.raises(NotFound):
            blobs.fetch_upload(FIRST, upload, tmp_path / "target")
    assert not files_below(tmp_path / "blobs")


def test_a_sweep_removes_old_files_without_a_row_and_no_others(
    blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned, forgotten = accepted(blobs, FIRST, b"model"), accepted(blobs, SECOND, b"model")
    assert sweep(blobs, {FIRST}) == 0, "it is young: its row may be on its way"
    for module in (app.blobs.bucket, app.blobs.local):
        monkeypatch.setattr(module, "ORPHAN_AGE_S", -2.0)  # the store's clock has whole seconds
    assert sweep(blobs, {FIRST}) == 1
    with pytest.raises(NotFound):
        blobs.fetch_upload(SECOND, forgotten, tmp_path / "target")
    blobs.fetch_upload(FIRST, owned, tmp_path / "target")


def test_files_in_doubt_are_kept_with_a_row_and_swept_without(
    blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.blobs.bucket, "LATE_ROW_S", -1.0)
    monkeypatch.setattr(app.blobs.local, "ORPHAN_AGE_S", -2.0)
    owned, _ = accepted(blobs, FIRST, b"model"), accepted(blobs, SECOND, b"model")
    blobs.doubt(FIRST)
    blobs.doubt(SECOND)
    assert blobs.sweep(lambda ids: {FIRST}.intersection(ids)) == 1, "one sweep is enough, and takes the other alone"
    blobs.fetch_upload(FIRST, owned, tmp_path / "target")


def test_what_a_killed_process_left_is_removed_and_what_it_accepted_is_not(
    blobs: BlobStore, url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.blobs.bucket, "LATE_ROW_S", -1.0)
    environ = os.environ | {"PHASEGAP_DATA_DIR": str(tmp_path)} | ({"PHASEGAP_STORE_URL": url} if url else {})
    third = "0c" + 30 * "3"
    done = subprocess.run([sys.executable, "-c", DIES, FIRST, SECOND, third], env=environ, check=False)
    assert done.returncode == -signal.SIGKILL
    assert blobs.sweep(lambda ids: {FIRST}.intersection(ids)) >= 1
    assert not files_below(tmp_path / "blobs" / "incoming")
    model = Upload("model.keras", 5, hashlib.sha256(b"model").hexdigest())
    blobs.fetch_upload(FIRST, model, tmp_path / "target")
    if url:  # the second was in the store and had no row yet: its process' folder told of it
        with pytest.raises(NotFound):
            blobs.fetch_upload(SECOND, model, tmp_path / "target")


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FaultyProxy, BucketServer]]:
    with BucketServer() as server, FaultyProxy(server.url) as proxy:
        point_at(proxy.url, monkeypatch)
        yield proxy, server


def test_a_store_that_fails_every_third_request_keeps_and_gives_all(
    faulty: tuple[FaultyProxy, BucketServer], tmp_path: Path
) -> None:
    proxy, server = faulty
    blobs, proxy.every = BucketBlobs(f"s3://{BUCKET}", tmp_path, LIMIT_S), 3
    content = os.urandom(LARGE_BYTES)
    upload = accepted(blobs, FIRST, content)
    blobs.fetch_upload(FIRST, upload, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content
    blobs.put_output(FIRST, 1, REPAIRED, tmp_path / "target")
    found = blobs.output(FIRST, 1, REPAIRED)
    assert asyncio.run(found.read(0, LARGE_BYTES)) == content
    while min(proxy.spoilt.values()) < 2:
        blobs.write_output(FIRST, 2, REPORT, content[:1000])
        assert blobs.read_output(FIRST, 2, REPORT) == content[:1000]
    blobs.remove(FIRST)
    assert not server.objects
    assert not list((tmp_path / "leftovers").iterdir())


def test_a_store_that_is_away_is_told_at_once_after_the_first_time_and_back_as_soon_as_it_answers(
    faulty: tuple[FaultyProxy, BucketServer], tmp_path: Path
) -> None:
    proxy, server = faulty
    blobs = BucketBlobs(f"s3://{BUCKET}", tmp_path, 1.0)
    accepted(blobs, FIRST, b"model")
    blobs.probe()
    proxy.every, proxy.kinds = 1, ("unavailable", "reset")
    started_s = time.monotonic()
    with pytest.raises(StoreAway):
        accepted(blobs, SECOND, b"model")
    assert 0.5 < time.monotonic() - started_s < 5.0, "tried for a while, and no longer"
    started_s, asked = time.monotonic(), proxy.requests
    for _ in range(20):
        with pytest.raises(StoreAway):
            blobs.output(FIRST, 1, REPORT)
    assert not blobs.is_there()
    assert time.monotonic() - started_s < 2.0
    assert proxy.requests - asked <= 6, "it is left alone, but for a look a second"
    blobs.remove(FIRST)
    assert len(server.objects) == 1, "nobody can get at it"
    proxy.every = 0
    time.sleep(1.2)
    assert sweep(blobs, set()) >= 1
    assert blobs.is_there()
    assert not [key for key in server.objects if "diagnoses" in key]
    assert not list((tmp_path / "leftovers").iterdir())


@pytest.mark.slow
def test_a_store_that_says_nothing_is_away_within_seconds(
    faulty: tuple[FaultyProxy, BucketServer], tmp_path: Path
) -> None:
    proxy, _ = faulty
    blobs = BucketBlobs(f"s3://{BUCKET}", tmp_path, LIMIT_S)
    proxy.every, proxy.kinds = 1, ("silent",)
    started_s = time.monotonic()
    with pytest.raises(StoreAway):
        blobs.probe()
    assert time.monotonic() - started_s < 9.0, "readiness takes a look of ten seconds for one that hangs"


@pytest.mark.parametrize(("bucket", "keys"), [("absent", CREDENTIALS), (BUCKET, {"AWS_ACCESS_KEY_ID": "stranger"})])
def test_a_wrong_bucket_or_key_is_a_store_that_is_away(
    bucket: str, keys: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.blobs.objects, "PROBE_LIMIT_S", 0.3)
    with BucketServer() as server:
        point_at(server.url, monkeypatch)
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        blobs = BucketBlobs(f"s3://{bucket}", tmp_path, 0.3)
        with pytest.raises(StoreAway):
            blobs.probe()
        time.sleep(1.1)
        with pytest.raises(StoreAway):
            accepted(blobs, FIRST, b"model")


def test_an_upload_that_is_not_what_was_received_is_not_run(
    faulty: tuple[FaultyProxy, BucketServer], tmp_path: Path
) -> None:
    _, server = faulty
    blobs = BucketBlobs(f"s3://{BUCKET}", tmp_path, LIMIT_S)
    upload = accepted(blobs, FIRST, b"model")
    kept = next(kept for key, kept in server.objects.items() if key.endswith("model.keras"))
    for content in (b"other", b"longer than it was", b""):
        kept.content = content
        with pytest.raises(UploadDamagedError):
            blobs.fetch_upload(FIRST, upload, tmp_path / "target")


def test_each_sweep_lists_one_part_of_the_bucket(faulty: tuple[FaultyProxy, BucketServer], tmp_path: Path) -> None:
    _, server = faulty
    blobs = BucketBlobs(f"s3://{BUCKET}", tmp_path, LIMIT_S)
    assert sweep(blobs, set()) == 0
    asked = [line for line in server.asked if "list-type" in line]
    assert len(asked) == len(set(asked)) == PARTS
