"""One server and one sandbox for all attacks, one set of canaries, and what a good upload is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from app.sandbox.host import Sandbox
from tests.app.served import Server
from tests.attacks.canaries import Canaries
from tests.attacks.kit import Found, Upload


@pytest.fixture(scope="session")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    made = Canaries(tmp_path_factory.mktemp("elsewhere") / "canaries")
    yield made
    made.listener.close()


@pytest.fixture(scope="session")
def make(canaries: Canaries) -> Callable[[Found], Upload]:
    """Makes the files of an attack, once. Some payloads sing already while Keras saves them; that is forgotten."""

    @cache
    def make(found: Found) -> Upload:
        upload = found.make(canaries)
        canaries.touched()
        return upload

    return make


@pytest.fixture(scope="session")
def good() -> Upload:
    from tests.attacks.making import batch, plain

    return Upload(plain(), batch=batch())


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with limits that attacks reach soon. Processor time is what ends a loop, so that a busy machine changes
    nothing.
    """
    from tests.attacks.caged import MEMORY_LIMIT_BYTES

    limits = {"guest_memory_limit_bytes": MEMORY_LIMIT_BYTES, "guest_cpu_limit_seconds": 6, "guest_threads": 1}
    data_dir: Path = tmp_path_factory.mktemp("attacked")
    running = Server(data_dir, real=True, attempts_limit=1, **limits)
    yield running.wait_ready()
    assert running.stop() == 0, "".join(running.log)


@pytest.fixture(scope="session")
def cage() -> Iterator[Sandbox]:
    from tests.attacks.caged import AttackedSandbox

    sandbox = AttackedSandbox()
    sandbox.start()
    yield sandbox
    sandbox.close()
