"""The parts of webhooks on their own: addresses that may be told, one attempt on the wire, the outbox, the waits."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import shutil
import ssl
import statistics
import subprocess
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.endpoints import WebhookEndpoint
from app.jobs.states import Ending, Submission
from app.services import Services, prepare
from app.settings import Settings
from app.webhooks.courier import Courier
from app.webhooks.reach import OutOfReach, judge
from app.webhooks.sending import Answer, Sender
from tests.app.listener import SECRET, Handler, Listener

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]
PRIVATE = (
    "127.0.0.1 127.9.9.9 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 192.0.0.192 100.64.0.1 192.0.2.1 "
    "198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 fe80::1 fe80::1%eth0 fc00::1 ff02::1 2001:db8::1 "
    "::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 2002:7f00:1:: 2002:a00:1:: 2001::1"
)


@pytest.mark.parametrize("address", PRIVATE.split())
def test_no_private_address_is_told(address: str) -> None:
    with pytest.raises(OutOfReach, match="not public"):
        judge(address, [], encrypted=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_told_over_tls_only(address: str) -> None:
    assert str(judge(address, [], encrypted=True)) == address
    with pytest.raises(OutOfReach, match="https"):
        judge(address, [], encrypted=False)


def test_allowed_networks_are_told_and_nothing_beside_them() -> None:
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        judge(address, LOOPBACK, encrypted=False)
    with pytest.raises(OutOfReach):
        judge("10.0.0.1", LOOPBACK, encrypted=False)


Post = Callable[..., Answer]


@pytest.fixture
def post() -> Iterator[Post]:
    """Sends one request as the courier does; `names` stands in for the name service, and counts what it was asked."""
    with ThreadPoolExecutor(2) as threads:

        def send(
            url: str, names: Callable[[str, int], Awaitable[list[str]]] | None = None, limit_s: float = 2.0
        ) -> Answer:
            sender = Sender(LOOPBACK, limit_s, threads)
            if names is not None:
                sender._resolve = names  # type: ignore[method-assign]
            return asyncio.run(sender.send(url, [("webhook-id", "x")], b"{}"))

        yield send


def test_the_address_that_was_judged_is_the_one_that_is_connected_to(post: Post) -> None:
    asked: list[str] = []

    async def changes_its_mind(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with Listener() as listener:
        answer = post(f"http://nowhere.invalid:{listener.port}/hook", changes_its_mind)
        assert answer.is_arrival
        assert asked == ["nowhere.invalid"]
        assert listener.told[0].headers["host"] == f"nowhere.invalid:{listener.port}"


def test_one_private_address_among_others_is_enough_to_refuse(post: Post) -> None:
    async def two_faced(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1", "10.0.0.1"]

    with Listener() as listener:
        assert "not public" in post(f"http://two.invalid:{listener.port}/", two_faced).reason
        assert listener.told == []


def endless_body(handler: Handler, _: int) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(65536))
            handler.listener.script_bytes = getattr(handler.listener, "script_bytes", 0) + 65536  # type: ignore[attr-defined]
    except OSError:
        pass


def dripping_head(handler: Handler, _: int) -> None:
    try:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + bytes(200):
            handler.wfile.write(bytes([byte or 65]))
            time.sleep(0.1)
    except OSError:
        pass


def noise(handler: Handler, _: int) -> None:
    handler.wfile.write(b"\x00\x01 this is no HTTP\r\n\r\n")


def test_an_endless_answer_is_an_answer_and_not_read_to_its_end(post: Post) -> None:
    with Listener(endless_body) as listener:
        started_s = time.monotonic()
        assert post(listener.url).is_arrival
        assert time.monotonic() - started_s < 2.0
        time.sleep(0.2)
        assert listener.script_bytes < 64 << 20  # type: ignore[attr-defined] # what kernel buffers take in, at most


def test_a_dripping_answer_is_cut_in_time(post: Post) -> None:
    with Listener(dripping_head) as listener:
        started_s = time.monotonic()
        assert post(listener.url, limit_s=0.6).reason == "No answer within 0.6 seconds."
        assert time.monotonic() - started_s < 1.5


def test_every_failure_says_what_it_is(post: Post) -> None:
    async def unknown(_host: str, _port: int) -> list[str]:
        import socket

        raise socket.gaierror(-2, "Name or service not known")

    with Listener(noise) as listener:
        assert post(listener.url).reason == "What came back is not HTTP."
        assert "TLS" in post(listener.url.replace("http:", "https:")).reason
    assert post(listener.url).reason == "No connection could be made."
    assert post("https://x.invalid/", unknown).reason == "The name could not be resolved."


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_tls_is_checked_against_the_name(post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=hooks.invalid"
    )
    names = ["-addext", "subjectAltName=DNS:hooks.invalid", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command.split(), *names], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    with Listener(tls=context) as listener:
        assert "certificate" in post(f"https://hooks.invalid:{listener.port}/", here).reason
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert post(f"https://hooks.invalid:{listener.port}/", here).is_arrival
        assert "certificate" in post(f"https://other.invalid:{listener.port}/", here).reason


@pytest.mark.parametrize("given", ["7", "date", "", "soon", "-3", "9" * 30])
def test_retry_after_is_read_in_both_forms(post: Post, given: str) -> None:
    import email.utils

    value = email.utils.formatdate(time.time() + 100, usegmt=True) if given == "date" else given
    with Listener(lambda handler, _: handler.answer(503, retry_after=value)) as listener:
        advised_s = post(listener.url).retry_after_s
    wanted = {"7": 7, "date": 100, "9" * 30: 24 * 3600}.get(given, 0)
    assert advised_s == pytest.approx(wanted, abs=3)


def test_the_waits_grow_and_scatter(tmp_path: Path) -> None:
    courier = Courier(Settings(data_dir=tmp_path), outbox=None)  # type: ignore[arg-type]
    random.seed(0)
    waits = {attempt: [courier.wait_seconds(attempt) for _ in range(200)] for attempt in (1, 2, 3, 9, 30)}
    assert [statistics.mean(waits[attempt]) / wanted for attempt, wanted in ((1, 5), (2, 20), (3, 80), (9, 21600))] == (
        pytest.approx([1.0] * 4, abs=0.05)
    )
    assert all(max(found) / min(found) > 1.5 for found in waits.values())
    assert max(waits[30]) <= 1.25 * 6 * 3600


GOOD = {"name": "a", "url": "https://hooks.example/x", "secret": SECRET}
BAD = [{"url": "ftp://x/"}, {"url": "https://"}, {"url": "https://me:pw@x/"}, {"url": "https://x/#y"}, {"name": "A b"}]
BAD += [
    {"secret": "hunter2"},
    {"secret": "whsec_c2hvcnQ="},
    {"secret": "whsec_!!"},
    {"extra": 1},
    {"url": "https://x:0/"},
]


@pytest.mark.parametrize("change", BAD, ids=str)
def test_an_endpoint_that_cannot_work_is_refused_at_the_start(change: dict[str, object]) -> None:
    WebhookEndpoint.model_validate(GOOD)
    with pytest.raises(ValidationError):
        WebhookEndpoint.model_validate(GOOD | change)


def test_names_are_given_once_and_secrets_are_not_printed() -> None:
    with pytest.raises(ValidationError, match="name"):
        Settings(webhook_endpoints=[GOOD, GOOD])
    assert SECRET not in str(Settings(webhook_endpoints=[GOOD]))


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    settings = Settings(data_dir=tmp_path)
    prepare(settings)
    running = Services(settings)
    yield running
    running.close()


def end(services: Services) -> str:
    """A diagnosis that has ended, recorded as workers do it."""
    files = {"model_stem": "m", "model_file": "model.keras", "batch_file": "batch.npz"}
    hashes = dict.fromkeys(("model_sha256", "batch_sha256", "content_hash"), "0" * 64)
    job = Submission(id=uuid.uuid4().hex, **files, **hashes, model_bytes=1, batch_bytes=1, options={})
    services.store.submit_ended(job, None, Ending("succeeded"))
    return job.id


def taken(services: Services, name: str) -> list[str]:
    found = []
    while (parcel := services.outbox.take(name, 60.0)) is not None:
        found.append(parcel.diagnosis.id)
    return found


def test_a_new_listener_hears_nothing_old_and_a_returning_one_what_it_missed(services: Services) -> None:
    outbox = services.outbox
    before = end(services)
    outbox.join({"first": "a"})
    heard = end(services)
    outbox.announce(["first"])
    assert taken(services, "first") == [heard]
    missed = end(services)  # nobody announces: the endpoint is not in the settings
    outbox.join({"first": "a", "second": "b"})
    new = end(services)
    outbox.announce(["first", "second"])
    assert taken(services, "first") == [missed, new]
    assert taken(services, "second") == [new]
    assert before not in {item.diagnosis_id for item in outbox.page(None, None, None, 100)}


def test_who_comes_second_neither_announces_nor_takes(services: Services) -> None:
    services.outbox.join({"only": "a"})
    jobs = {end(services) for _ in range(20)}
    with ThreadPoolExecutor(4) as crowd:
        list(crowd.map(lambda _: services.outbox.announce(["only"]), range(4)))
        lists = list(crowd.map(lambda _: taken(services, "only"), range(4)))
    everything = [job for found in lists for job in found]
    assert len(everything) == 20
    assert set(everything) == jobs


def test_a_lease_that_is_over_is_given_again_and_the_first_holder_says_nothing_more(services: Services) -> None:
    outbox = services.outbox
    outbox.join({"only": "a"})
    end(services)
    outbox.announce(["only"])
    lost = outbox.take("only", 0.05)
    assert lost is not None
    time.sleep(0.1)
    again = outbox.take("only", 60.0)
    assert again is not None
    assert (again.id, again.attempt) == (lost.id, 2)
    outbox.bury(lost, 500, "too late")
    assert [item.state for item in outbox.page(None, None, None, 9)] == ["pending"]
    outbox.delivered(again, 200)
    assert [item.state for item in outbox.page(None, None, None, 9)] == ["delivered"]


def test_an_endpoint_that_was_gone_is_back_with_another_url(services: Services) -> None:
    outbox = services.outbox
    outbox.join({"only": "a"})
    outbox.disable("only")
    outbox.join({"only": "a"})
    assert outbox.listeners(["only"])["only"][0] is not None
    outbox.join({"only": "b"})
    assert outbox.listeners(["only"])["only"][0] is None
