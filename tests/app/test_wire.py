"""What comes over a connection before it is a request, and what clients do to keep one."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import random
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace

import h11
import httpx2 as httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

from app.settings import load_settings
from app.wire import BoundedProtocol
from tests.app.double import script
from tests.app.served import Server

HOST = b"Host: localhost\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\n" + HOST
POST = b"POST /diagnose HTTP/1.1\r\n" + HOST + b"Content-Type: multipart/form-data; boundary=B\r\n"
PART = b'--B\r\nContent-Disposition: form-data; name="model"; filename="m.keras"\r\n\r\n' + script()
CLOSE = b"Connection: close\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
SLOWEST_REFUSAL_S = 10.0
"""A refusal takes milliseconds; this much is left to a machine that does something else beside the tests."""


def said(server: Server, *pieces: bytes, pause_s: float = 0.0, patience_s: float = 20.0) -> tuple[bytes, float]:
    """All that a connection answers to these pieces until it is closed, and how many seconds that took."""
    answer, started_s = b"", time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=patience_s) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_s)
            while received := connection.recv(65536):
                answer += received
        except (BrokenPipeError, ConnectionResetError):
            pass
    return answer, time.monotonic() - started_s


def drip(server: Server, head: bytes, bytes_a_second: int, longest_s: float) -> float:
    """How long a connection lives that sends a head and then byte after byte."""
    started_s = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=longest_s) as connection:
        try:
            connection.sendall(head)
            connection.settimeout(1 / bytes_a_second)
            while time.monotonic() - started_s < longest_s:
                connection.sendall(b"a")
                try:
                    if connection.recv(65536) == b"":
                        break
                except TimeoutError:
                    continue
        except (BrokenPipeError, ConnectionResetError):
            pass
    return time.monotonic() - started_s


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(
        tmp_path_factory.mktemp("strict"), head_seconds=1, upload_grace_seconds=1, upload_floor_bytes_per_second=10**6,
        drain_seconds=0.3, connection_limit=12, send_stall_seconds=1,
    )  # fmt: skip
    yield running.wait_ready()
    running.stop()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (LIVE + b"X: " + b"a" * 5_000_000 + b"\r\n" + CLOSE, 431),
        (LIVE + b"".join(b"X-%d: a\r\n" % number for number in range(100_000)) + CLOSE, 431),
        (b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n" + HOST + CLOSE, 431),
        (b"GET /diagnoses?model_name=" + b"a" * 1_000_000 + b" HTTP/1.1\r\n" + HOST + CLOSE, 431),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + CLOSE, 400),
        (b"GET /health/live HTTP/1.1\r\n" + CLOSE, 400),
        (LIVE + HOST + CLOSE, 400),
        (LIVE + b"X: a\x00b\r\n" + CLOSE, 400),
        (b"GET /health/live\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS", 400),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (POST + b"Content-Length: -5\r\n\r\nhello", 400),
        (POST + b"Content-Length: \xb2\r\n\r\nhello", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 1_000_000, 431),
        (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + LIVE + CLOSE, 422),
        (b"GET /health/live HTTP/1.0\r\n\r\n", 200),
        (b"CONNECT evil:443 HTTP/1.1\r\n" + HOST + CLOSE, 404),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + CLOSE, 404),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404),
    ],
)
def test_what_is_no_sound_request_is_refused_at_once(server: Server, request_bytes: bytes, status: int) -> None:
    answer, seconds = said(server, request_bytes)
    assert seconds < SLOWEST_REFUSAL_S
    if not answer:  # the system may drop what was sent to who still writes
        assert len(request_bytes) > 65536
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-security-policy:" in head.lower()
    if status >= 400:
        assert b"application/problem+json" in head
        assert b'"code"' in body
    assert STATUS.findall(answer) == [str(status).encode()]  # what was smuggled behind it is not answered


def test_a_flood_of_headers_does_not_keep_others_waiting(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(LIVE + b"X: ")
        longest_s = 0.0
        for _ in range(20):
            with suppress(OSError):  # cut off, as it should be
                connection.sendall(b"a" * 1_000_000)
            started_s = time.monotonic()
            assert server.get("/health/live").status_code == 200
            longest_s = max(longest_s, time.monotonic() - started_s)
    assert longest_s < 2.0


def test_upgrades_are_not_followed(server: Server) -> None:
    key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    for upgrade in (b"websocket\r\n" + key, b"h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"):
        answer, _ = said(server, LIVE + b"Connection: Upgrade, close\r\nUpgrade: " + upgrade)
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_requests_one_behind_the_other_are_answered_in_order(server: Server) -> None:
    answer, _ = said(server, LIVE + b"\r\n" + b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n" + LIVE + CLOSE)
    assert STATUS.findall(answer) == [b"200", b"404", b"200"]


def test_every_method_is_answered(server: Server) -> None:
    diagnosis_id = server.submit(script(seconds=20))
    for path in ("/", "/health/live", "/diagnoses", f"/diagnoses/{diagnosis_id}", f"/diagnoses/{diagnosis_id}/events"):
        head = server.client.head(path)
        assert (head.status_code, head.content) == (200, b"")
    assert 'method="HEAD",route="/diagnoses/{diagnosis_id}/events"' in server.get("/metrics").text
    server.client.delete(f"/diagnoses/{diagnosis_id}")
    for method in ("OPTIONS", "TRACE", "PUT", "PATCH", "BREW"):
        origin = {"Origin": "http://evil.example"} if method in ("OPTIONS", "TRACE") else {}
        answer = server.client.request(method, "/diagnoses/none", headers=origin)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "DELETE, GET, HEAD"
        assert "access-control-allow-origin" not in answer.headers
        assert "evil" not in answer.text


def test_parts_of_a_file_are_given_or_refused_in_form(server: Server) -> None:
    location = server.post(script(repaired=True)).headers["location"]
    part = server.get(f"{location}/model", headers={"Range": "bytes=2-9"})
    assert (part.status_code, part.content) == (206, b"repaired")
    for path in (f"{location}/model", "/static/app.js"):
        for wanted, status in (("bytes=99999999-", 416), ("lines=1", 422), ("bytes=9-1", 422)):
            refused = server.get(path, headers={"Range": wanted})
            assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json")
            assert refused.json()["status"] == status


@pytest.mark.parametrize(
    ("head", "longest_s"),
    [
        (b"", 3.5),
        (b"G", 3.5),
        (LIVE + b"X: ", 3.5),
        (LIVE + b"Content-Length: 1000\r\n\r\n", 3.5),
        (POST + b"Content-Length: 100000\r\n\r\n" + PART, 5.5),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % 100_000 + PART, 5.5),
    ],
)
def test_who_drips_is_cut_off(strict: Server, head: bytes, longest_s: float) -> None:
    assert drip(strict, head, bytes_a_second=4, longest_s=10) < longest_s
    strict.until(lambda: strict.stored_files() == [], 5)


def test_who_sends_or_reads_nothing_is_cut_off(strict: Server) -> None:
    _, seconds = said(strict, b"", patience_s=10)
    assert seconds < 4
    with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(400):  # answers pile up unread: the buffers of both sides fill
            try:
                connection.sendall((LIVE.replace(b"/health/live", b"/docs") + b"\r\n") * 50)
            except OSError:
                return  # cut off
            time.sleep(0.02)
    raise AssertionError("a client that never reads was never cut off")


def test_there_are_only_so_many_connections(strict: Server) -> None:
    crowd = [socket.create_connection(("127.0.0.1", strict.port), timeout=10) for _ in range(30)]
    try:
        last = crowd[-1].recv(65536)
        assert last.startswith(b"HTTP/1.1 503 ")
        assert b"queue_full" in last
        assert b"retry-after" in last.lower()
    finally:
        for connection in crowd:
            connection.close()
    strict.until(lambda: httpx.get(f"{strict.url}/health/live").status_code == 200, 10)


def test_uploads_that_end_early_leave_nothing(server: Server) -> None:
    before, jobs = set(server.stored_files()), server.get("/diagnoses").json()["items"]
    for ending in ("close", "reset", "half"):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        connection.sendall(POST + b"Content-Length: 2500000\r\n\r\n" + PART + b" " * 2_000_000)
        server.until(lambda: not set(server.stored_files()) <= before)
        if ending == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        if ending == "half":
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1000)
        connection.close()
        server.until(lambda: set(server.stored_files()) <= before)
    assert server.get("/diagnoses").json()["items"] == jobs


class Hashing:
    """An application that answers with the hash and length of each body."""

    def __init__(self) -> None:
        self.state = SimpleNamespace(settings=load_settings())

    async def __call__(self, scope, receive, send):
        digest, count, more = hashlib.sha256(), 0, True
        while more:
            message = await receive()
            digest.update(message["body"])
            count, more = count + len(message["body"]), message["more_body"]
        said = f"{digest.hexdigest()} {count}\n".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
        await send({"type": "http.response.body", "body": said})


def through_protocol(*sent: bytes) -> bytes:
    """What the protocol alone answers to these writes, until it has answered as often as there are requests."""

    async def talk() -> bytes:
        loop = asyncio.get_running_loop()
        config = uvicorn.Config(Hashing(), lifespan="off", log_config=None)
        config.load()
        make = functools.partial(BoundedProtocol, config, ServerState(), {})
        async with await loop.create_server(make, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for piece in sent:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), 30)
            writer.close()
            return answer

    return asyncio.run(talk())


@pytest.mark.parametrize("size", [1, 1000, 65536, 300_000])
def test_a_body_arrives_whole_however_it_is_cut_and_the_next_request_after_it(monkeypatch, size):
    body = random.Random(size).randbytes(min(2_000_000, 2000 * size))
    post = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    told = []
    plain = h11.Connection.receive_data
    monkeypatch.setattr(h11.Connection, "receive_data", lambda self, data: (told.append(len(data)), plain(self, data)))
    stream = post + post + LIVE + CLOSE
    answer = through_protocol(*(stream[start : start + size] for start in range(0, len(stream), size)))
    expected = f"{hashlib.sha256(body).hexdigest()} {len(body)}".encode()
    assert answer.count(expected) == 2
    assert answer.count(b"200 OK") == 3
    if size >= 1000:
        assert sum(told) < len(stream) / 2, "most of a body does not pass through h11"


def test_what_comes_after_a_body_is_no_part_of_it():
    post = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\n\r\n"
    answer = through_protocol(post + b"a", b"bc", b"def\x00 is no request\r\n\r\n")
    assert answer.count(b"200 OK") == 1
    assert f"{hashlib.sha256(b'abcdef').hexdigest()} 6\n".encode() in answer
