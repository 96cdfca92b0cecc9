"""One server with a scripted worker for most tests; those that change the server's fate start their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.served import Server

QUICK = {"reconcile_seconds": 0.3, "heartbeat_seconds": 0.3, "cancel_poll_seconds": 0.1}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("shared"), slots=4, model_limit_bytes=3_000_000, **QUICK)
    yield running.wait_ready()
    assert running.stop() == 0, "".join(running.log)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with settings of their own; they end with the test."""
    started: list[Server] = []

    def begin(**settings: Any) -> Server:
        running = Server(tmp_path / "data", **(QUICK | settings))
        started.append(running)
        return running.wait_ready()

    yield begin
    for running in started:
        running.stop()


def check_problem(answer: Any, code: str, status: int) -> dict[str, Any]:
    """That an answer is the problem it should be, and gives nothing of the server away."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["type"].endswith(code)
    assert body["title"]
    assert body["detail"]
    for secret in ("Traceback", "/tmp", "/home", ".py", "sqlite"):
        assert secret not in answer.text
    return body
