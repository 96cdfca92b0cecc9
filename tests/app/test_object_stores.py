"""`s3://` and `gs://` against moto, an S3-compatible server on loopback; Google's XML interface reads as S3 does."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.conftest import QUICK, check_problem
from tests.app.double import script
from tests.app.foreign import environment, running
from tests.app.served import Server
from tests.app.test_fetching import ask, by_uri

pytestmark = pytest.mark.slow

LARGE_BYTES = 20_000_000
FILL = """
import sys, boto3
keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
store = boto3.client("s3", endpoint_url=sys.argv[1], **keys)
model, batch = open(sys.argv[2], "rb").read(), b"PK\\x03\\x04batch"
for bucket in ("ours", "theirs"):
    store.create_bucket(Bucket=bucket)
    for key, body in (("models/tiny.keras", model), ("models/a b%20\\u00e4.keras", model), ("models/batch.npz", batch),
                      ("models/large.keras", model + bytes(int(sys.argv[3]))), ("private/tiny.keras", model)):
        store.put_object(Bucket=bucket, Key=key, Body=body, ACL="public-read")
"""


@pytest.fixture(scope="module")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("moto")
    python = environment(folder / "env", "moto[s3]>=5.2", "flask", "flask-cors")
    command = [str(python), "-m", "moto.server", "-H", "127.0.0.1", "-p", "{port}"]
    (folder / "tiny.keras").write_bytes(script())
    with running(command, folder / "run", "/moto-api/") as url:
        fill = [str(python), "-c", FILL, url, str(folder / "tiny.keras"), str(LARGE_BYTES)]
        subprocess.run(fill, check=True)
        yield url


@pytest.fixture(scope="module")
def storing(bucket_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("stores")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": bucket_server,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "the-secret-key",
            "AWS_REGION": "us-east-1",
            "GOOGLE_BASE_URL": bucket_server,
            "GOOGLE_SKIP_SIGNATURE": "true",
        }.items():
            patch.setenv(name, value)
        prefixes = json.dumps(["s3://ours/models", "s3://absent", "gs://ours/models"])
        server = Server(folder, uri_prefixes=prefixes, model_limit_bytes=3_000_000, **QUICK)
    yield server.wait_ready()
    assert server.stop() == 0


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_objects_are_fetched_with_the_operators_credentials(storing: Server, scheme: str) -> None:
    answer = ask(storing, model_uri=f"{scheme}://ours/models/tiny.keras", batch_uri=f"{scheme}://ours/models/batch.npz")
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"]["sha256"] == hashlib.sha256(script()).hexdigest()
    assert by_uri(storing, f"{scheme}://ours/models/a b%20ä.keras").status_code == 200


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_what_is_not_listed_not_there_or_too_large_is_refused(storing: Server, scheme: str, bucket_server: str) -> None:
    for place in ("theirs/models/tiny.keras", "ours/private/tiny.keras", "ours/models/../private/tiny.keras"):
        check_problem(by_uri(storing, f"{scheme}://{place}"), "invalid_request", 422)
    answer = by_uri(storing, f"{scheme}://ours/models/none.keras")
    assert "no such object" in check_problem(answer, "invalid_request", 422)["detail"]
    for secret in (bucket_server, "the-secret-key", "RequestId"):
        assert secret not in answer.text
    check_problem(by_uri(storing, f"{scheme}://ours/models/large.keras"), "payload_too_large", 413)
    assert not [name for name in storing.stored_files() if "incoming" in name]


def test_a_bucket_that_is_not_there_is_told(storing: Server) -> None:
    assert "bucket" in check_problem(by_uri(storing, "s3://absent/m.keras"), "invalid_request", 422)["detail"]
