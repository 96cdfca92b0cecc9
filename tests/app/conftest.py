"""One server with a scripted worker for most tests, one that runs real models for some; those that change a server's
fate start their own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.callers import Role
from tests.app.served import Server
from tests.app.tenants import As, made_key

QUICK = {"reconcile_seconds": 0.3, "heartbeat_seconds": 0.3, "cancel_poll_seconds": 0.1}


MAKE_MODELS = """
import sys
import keras, numpy as np
folder = sys.argv[1]
keras.utils.set_random_seed(0)

@keras.saving.register_keras_serializable("mine")
class Doubling(keras.layers.Layer):
    def call(self, x):
        return 2 * x

def build(*middle):
    layers = [keras.Input((4,), name="features"), keras.layers.Dense(8), keras.layers.BatchNormalization(name="norm")]
    model = keras.Sequential([*layers, *middle, keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

x = np.random.default_rng(0).normal(3, 2, (64, 4)).astype("float32")
y = (x[:, 0] > 3).astype("int64")
model = build()
model.fit(x, y, epochs=3, verbose=0)
model.save(folder + "/model.keras")
model.save(folder + "/model.h5")
model.save_weights(folder + "/only.weights.h5")
build(Doubling()).save(folder + "/custom.keras")
build(keras.layers.Lambda(lambda t: t + 1)).save(folder + "/lambda.keras")
np.savez(folder + "/batch.npz", x=x, y=y)
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("shared"), slots=4, model_limit_bytes=3_000_000, **QUICK)
    yield running.wait_ready()
    assert running.stop() == 0, "".join(running.log)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, "-c", MAKE_MODELS, str(folder)], check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("real"), real=True, model_limit_bytes=20_000_000)
    yield running.wait_ready()
    assert running.stop() == 0, "".join(running.log)


@pytest.fixture(scope="session")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[As]:
    """The operator of a server that asks for keys."""
    folder = tmp_path_factory.mktemp("tenants") / "data"
    key_id, headers = made_key(folder, "operator", [Role.ADMIN])
    running = Server(folder, slots=4, quota_period="day", quota_jobs=50, reuse_reports=True, **QUICK)
    yield As(running.wait_ready(), headers, key_id)
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
