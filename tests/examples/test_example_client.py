"""The example client sends what the contract asks for, and takes the answers as they come."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from examples.client import Client, ServiceError


class Recorder(BaseHTTPRequestHandler):
    """Keeps what it was sent; answers from a list."""

    requests: list[tuple[str, str, dict[str, str], bytes]]
    answers: list[tuple[int, Any]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        type(self).requests.append((self.command, self.path, dict(self.headers), body))
        status, content = type(self).answers.pop(0)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def recorder() -> Iterator[type[Recorder]]:
    fresh: Any = type("Fresh", (Recorder,), {"requests": [], "answers": []})
    server = HTTPServer(("127.0.0.1", 0), fresh)
    fresh.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield fresh
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(recorder: Any) -> Client:
    return Client("127.0.0.1", recorder.port)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    model, batch = tmp_path / "m.keras", tmp_path / "b.npz"
    model.write_bytes(bytes(range(256)) * 9000)  # more than one piece of the stream
    batch.write_bytes(b"\r\nbatch\r\n")
    return model, batch


def test_both_files_arrive_whole(client: Client, recorder: Any, files: tuple[Path, Path]) -> None:
    recorder.answers.append((202, {"id": "d1", "status": "queued"}))
    assert client.submit(*files, batch_size="3")["id"] == "d1"
    (method, path, headers, body) = recorder.requests[0]
    assert (method, path, headers["Prefer"]) == ("POST", "/diagnose", "respond-async")
    boundary = headers["Content-Type"].partition("boundary=")[2].encode()
    parts = body.split(b"--" + boundary)
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    contents = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:-1]]
    assert contents == [b"3", files[0].read_bytes(), files[1].read_bytes()]


def test_a_job_is_followed_to_its_report(client: Client, recorder: Any) -> None:
    running = {"id": "d1", "status": "running", "progress": {"stage": "measure", "fraction": 0.4}}
    recorder.answers.append((200, {"id": "d1", "status": "succeeded", "report": {"verdict": "phase_gap"}}))
    told: list[tuple[str, float]] = []
    assert client.follow(running, lambda stage, part: told.append((stage, part))) == {"verdict": "phase_gap"}
    assert told == [("measure", 0.4)]


def test_a_failed_job_says_why(client: Client) -> None:
    failed = {"id": "d1", "status": "failed", "error": {"detail": "the batch is empty"}}
    with pytest.raises(ServiceError, match="the batch is empty"):
        client.follow(failed)


def test_a_problem_is_an_error(client: Client, recorder: Any, files: tuple[Path, Path]) -> None:
    recorder.answers.append((415, {"code": "unsupported_model_format"}))
    with pytest.raises(ServiceError, match="unsupported_model_format"):
        client.submit(*files)


def test_a_download_is_kept(client: Client, recorder: Any, tmp_path: Path) -> None:
    recorder.answers += [(200, b"model"), (404, {"code": "not_found"})]
    assert client.download("/diagnoses/d1/model", tmp_path / "got").read_bytes() == b"model"
    with pytest.raises(ServiceError, match="404"):
        client.download("/diagnoses/d1/model", tmp_path / "none")
