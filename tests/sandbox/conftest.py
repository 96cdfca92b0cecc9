"""One warm sandbox for all of these tests, and a way to run a payload in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.sandbox.host import Sandbox
from app.sandbox.protocol import Limits
from tests.sandbox.harness import MEGABYTE, BareSandbox, HostileSandbox, Run


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    sandbox = HostileSandbox()
    sandbox.start()
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="session")
def bare() -> Iterator[Sandbox]:
    """All of the cage, and no TensorFlow."""
    sandbox = BareSandbox()
    sandbox.start()
    yield sandbox
    sandbox.close()


@pytest.fixture
def start_as() -> Iterator[Callable[..., Sandbox]]:
    """Start a sandbox of a class with options; closed in the end."""
    started: list[Sandbox] = []

    def start(kind: type[Sandbox], **options: object) -> Sandbox:
        started.append(kind(**options))
        started[-1].start()
        return started[-1]

    yield start
    for sandbox in started:
        sandbox.close()


@pytest.fixture
def start(start_as: Callable[..., Sandbox]) -> Callable[..., Sandbox]:
    """Start a sandbox with these steps left out or pretended."""
    return lambda **options: start_as(BareSandbox, **options)


@pytest.fixture
def prepare_in(tmp_path: Path) -> Callable[..., Run]:
    """Make a run of a payload in a sandbox ready; call it to run."""
    numbers = itertools.count()

    def prepare(sandbox: Sandbox, payload: str, *, seed: int = 0, **limits: float) -> Run:
        standard = {
            "memory_bytes": 1500 * MEGABYTE,
            "wall_seconds": 30,
            "output_bytes": 64 * MEGABYTE,
            "cpu_seconds": 60,
            "threads": 1,
        }
        folder = tmp_path / f"{payload}-{next(numbers)}"
        return Run(sandbox, folder, payload, Limits.model_validate(standard | limits), seed=seed)

    return prepare


@pytest.fixture
def prepare(sandbox: Sandbox, prepare_in: Callable[..., Run]) -> Callable[..., Run]:
    """The same in the warm sandbox."""
    return lambda payload, **limits: prepare_in(sandbox, payload, **limits)
