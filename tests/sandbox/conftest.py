"""One warm sandbox for all of these tests, and a way to run a payload in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.sandbox.host import Sandbox
from app.sandbox.protocol import Limits
from tests.sandbox.harness import MEGABYTE, HostileSandbox, Run


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    sandbox = HostileSandbox()
    sandbox.start()
    yield sandbox
    sandbox.close()


@pytest.fixture
def prepare(sandbox: Sandbox, tmp_path: Path) -> Callable[..., Run]:
    """Make a run of a payload ready; call it to run."""
    numbers = itertools.count()

    def prepare(payload: str, **limits: float) -> Run:
        standard = {
            "memory_bytes": 1500 * MEGABYTE,
            "wall_seconds": 30,
            "output_bytes": 64 * MEGABYTE,
            "cpu_seconds": 60,
            "threads": 1,
        }
        folder = tmp_path / f"{payload}-{next(numbers)}"
        return Run(sandbox, folder, payload, Limits.model_validate(standard | limits))

    return prepare
