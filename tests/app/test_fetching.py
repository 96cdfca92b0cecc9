"""Model and batch by URI through a real server: what is fetched, and everything that must not be."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest
import trustme

from tests.app.conftest import QUICK, check_problem
from tests.app.double import script
from tests.app.files_served import FileServer
from tests.app.served import Server

BATCH = b"PK\x03\x04batch"
LOOPBACK = json.dumps(["127.0.0.0/8"])
METADATA = "http://169.254.169.254/latest/meta-data/model.keras"
MODEL_LIMIT_BYTES = 3_000_000


@pytest.fixture(scope="module")
def web() -> Iterator[FileServer]:
    with FileServer({"/models/tiny.keras": script(), "/models/batch.npz": BATCH, "/other/tiny.keras": script()}) as it:
        yield it


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(authority: trustme.CA) -> Iterator[FileServer]:
    with FileServer({"/tiny.keras": script()}, tls=_certified_by(authority)) as it:
        yield it


@pytest.fixture(scope="module")
def impostor() -> Iterator[FileServer]:
    with FileServer({"/tiny.keras": script()}, tls=_certified_by(trustme.CA())) as it:
        yield it


def _certified_by(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def fetching(
    web: FileServer,
    secure: FileServer,
    impostor: FileServer,
    authority: trustme.CA,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A server that may fetch from this machine, from some folders of the web server and from a metadata service."""
    allowed = [f"{web.url}/{name}" for name in ACTS] + ["http://169.254.169.254/", secure.url, impostor.url, "models:/"]
    folder = tmp_path_factory.mktemp("fetching")
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
        running = Server(
            folder / "data",
            uri_prefixes=json.dumps([*allowed, f"http://127.0.0.1:{_closed_port()}/"]),
            uri_private_networks=LOOPBACK,
            model_limit_bytes=MODEL_LIMIT_BYTES,
            upload_grace_seconds=3.0,
            reuse_reports=True,
            **QUICK,
        )
    yield running.wait_ready()
    assert running.stop() == 0, "".join(running.log)


ACTS = ("models", "redirect", "status", "endless.keras", "drip.keras", "mute.keras", "packed.keras", "short.keras", "noise.keras")  # fmt: skip  # noqa: E501


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(server: Server, files: dict[str, Any] | None = None, **fields: str) -> httpx.Response:
    # httpx writes multipart only where there is a file; a part without a file name is a field
    parts = {name: (None, value) for name, value in fields.items()} | (files or {})
    return server.client.post("/diagnose", files=parts)


def by_uri(server: Server, model_uri: str) -> httpx.Response:
    return ask(server, {"batch": ("batch.npz", BATCH)}, model_uri=model_uri)


def test_both_files_are_fetched_and_the_report_is_on_them(fetching: Server, web: FileServer) -> None:
    web.seen.clear()
    answer = ask(
        fetching, model_uri=f"{web.url}/models/tiny.keras?token=s3cret", batch_uri=f"{web.url}/models/batch.npz"
    )
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert report["model"]["sha256"] == hashlib.sha256(script()).hexdigest()
    assert report["batch"]["sha256"] == hashlib.sha256(BATCH).hexdigest()
    assert fetching.job(report["id"])["model_file_name"] == "tiny.keras"
    assert [path for path, _ in web.seen] == ["/models/tiny.keras?token=s3cret", "/models/batch.npz"]
    for _, headers in web.seen:
        assert set(headers) == {"Host", "User-Agent", "Accept", "Accept-Encoding"}
        assert headers["Host"] == f"127.0.0.1:{web.port}"
    assert "s3cret" not in "".join(fetching.log) + json.dumps(fetching.job(report["id"]))


def test_one_may_be_sent_and_the_other_fetched(fetching: Server, web: FileServer) -> None:
    assert by_uri(fetching, f"{web.url}/models/tiny.keras").status_code == 200
    sent = {"model": ("m.keras", script())}
    assert ask(fetching, sent, batch_uri=f"{web.url}/models/batch.npz", seed="3").status_code == 200


def test_what_was_fetched_counts_as_the_same_content(fetching: Server, web: FileServer) -> None:
    batch = BATCH + b" of this test"
    headers = {"Idempotency-Key": "one"}
    sent = fetching.post(script(), batch, model_name="tiny.keras", headers=headers).json()
    parts = {"model_uri": (None, f"{web.url}/models/tiny.keras"), "batch": ("batch.npz", batch)}
    again = fetching.client.post("/diagnose", files=parts, headers=headers).json()
    assert again["id"] == sent["id"]
    repeated = fetching.client.post("/diagnose", files=parts).json()
    assert repeated["id"] != sent["id"]
    assert repeated["created_at"] == sent["created_at"]  # the report that was there, not a run


def test_nothing_is_fetched_unless_the_operator_says_so(server: Server, web: FileServer) -> None:
    web.seen.clear()
    detail = check_problem(by_uri(server, f"{web.url}/models/tiny.keras"), "invalid_request", 422)["detail"]
    assert "PHASEGAP_URI_PREFIXES" in detail
    assert web.seen == []


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/other/tiny.keras", "allowed"),
        ("/models/../other/tiny.keras", ".."),
        ("/models/%2e%2e/other/tiny.keras", ".."),
        ("/models/..%2fother/tiny.keras", "encoded"),
        ("/models-private/tiny.keras", "allowed"),
        ("/redirect?to=/other/tiny.keras", "allowed"),
        ("/redirect?to=file:///etc/passwd", "redirected"),
        ("/redirect?to=//user:word@127.0.0.1/x.keras", "password"),
        ("/redirect?to=http://localhost:1/models/tiny.keras", "allowed"),
        ("/models/none.keras", "404"),
        ("/status?code=500", "500"),
        ("/status?code=403", "permission"),
        ("/packed.keras", "compressed"),
        ("/short.keras", "early"),
        ("/noise.keras", "HTTP"),
    ],
)
def test_what_leads_elsewhere_or_is_no_file_is_refused(fetching: Server, web: FileServer, path: str, word: str) -> None:
    answer = by_uri(fetching, f"{web.url}{path}")
    detail = check_problem(answer, "invalid_request", 422)["detail"]
    assert word in detail
    assert "secret" not in answer.text
    assert "passwd" not in answer.text
    assert fetching.stored_files() == _files_of_jobs(fetching)


def _files_of_jobs(server: Server) -> list[str]:
    """What may be stored: nothing that is still being received."""
    return [name for name in server.stored_files() if "incoming" not in name]


def test_redirects_are_followed_within_what_is_allowed(fetching: Server, web: FileServer) -> None:
    assert by_uri(fetching, f"{web.url}/redirect/tiny.keras?to=/models/tiny.keras").status_code == 200
    loop = f"{web.url}/redirect/a.keras?to=/redirect/a.keras%3Fto=/redirect/a.keras"
    assert check_problem(by_uri(fetching, loop), "invalid_request", 422)


def test_addresses_that_are_not_public_all_look_alike(fetching: Server, web: FileServer) -> None:
    """A metadata service that is listed, a redirect to it, a closed port: one answer, at once, that tells nothing."""
    allowed = json.loads(fetching.environment["PHASEGAP_URI_PREFIXES"])
    closed = next(prefix for prefix in allowed if "127.0.0.1" in prefix and prefix.endswith("/"))
    details = []
    for uri in (METADATA, f"{web.url}/redirect?to={METADATA}", f"{closed}model.keras"):
        started_s = time.monotonic()
        details.append(check_problem(by_uri(fetching, uri), "invalid_request", 422)["detail"].partition("): ")[2])
        assert time.monotonic() - started_s < 2
    assert len(set(details)) == 1
    assert "not public" in details[0]


NAMES = ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]")


def test_this_machine_is_not_reached_under_any_name(start: Callable[..., Server], web: FileServer) -> None:
    """Everything on the web is allowed, this port of this host by name, too; its address is not."""
    server = start(uri_prefixes=json.dumps(["http://", *(f"http://{name}:{web.port}/" for name in NAMES)]))
    web.seen.clear()
    for name in NAMES:
        answer = by_uri(server, f"http://{name}:{web.port}/models/tiny.keras")
        assert "not public" in check_problem(answer, "invalid_request", 422)["detail"], name
    assert web.seen == []


def test_size_and_time_are_those_of_an_upload(fetching: Server, web: FileServer) -> None:
    answer = by_uri(fetching, f"{web.url}/endless.keras")
    assert str(MODEL_LIMIT_BYTES) in check_problem(answer, "payload_too_large", 413)["detail"]
    assert web.sent_bytes < 4 * MODEL_LIMIT_BYTES + 8_000_000  # sockets hold some
    for path in ("/drip.keras", "/mute.keras"):
        started_s = time.monotonic()
        detail = check_problem(by_uri(fetching, f"{web.url}{path}"), "invalid_request", 422)["detail"]
        assert "slower" in detail
        assert time.monotonic() - started_s < 15
    assert by_uri(fetching, f"{web.url}/models/tiny.keras").status_code == 200


def test_fields_that_contradict_each_other_are_named(fetching: Server, web: FileServer) -> None:
    uri = f"{web.url}/models/tiny.keras"
    both = {"model": ("m.keras", script()), "batch": ("b.npz", BATCH)}
    assert "one of them" in check_problem(ask(fetching, both, model_uri=uri), "invalid_request", 422)["detail"]
    assert "batch" in check_problem(ask(fetching, model_uri=uri), "invalid_request", 422)["detail"]
    web.seen.clear()
    check_problem(ask(fetching, model_uri=uri, batch_uri="ftp://x/b.npz"), "invalid_request", 422)
    check_problem(ask(fetching, model_uri=uri, batch_uri=uri, seed="-1"), "invalid_request", 422)
    assert web.seen == []  # nothing is fetched for a request that cannot be right
    check_problem(ask(fetching, model_uri=uri, batch_uri=uri), "unsupported_batch_format", 415)
    assert "MLFLOW" in check_problem(by_uri(fetching, "models:/m/1"), "invalid_request", 422)["detail"].upper()


def test_https_wants_a_certificate_that_it_can_trust(
    fetching: Server, secure: FileServer, impostor: FileServer
) -> None:
    assert by_uri(fetching, f"{secure.url}/tiny.keras").status_code == 200
    detail = check_problem(by_uri(fetching, f"{impostor.url}/tiny.keras"), "invalid_request", 422)["detail"]
    assert "reached" in detail
    assert impostor.seen == []
