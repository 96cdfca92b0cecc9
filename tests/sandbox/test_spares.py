"""A guest that waited for its job does what any other does, is held as any other is, and nothing depends on it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from app.sandbox import procfs, spares
from app.sandbox.host import Sandbox
from app.sandbox.protocol import Limits, Outcome, Task
from app.sandbox.spares import Spare
from tests.sandbox.harness import BareSandbox, HostileSandbox, Run, waiting
from tests.sandbox.test_levels import headline

WARM = Limits(memory_bytes=3 << 30, wall_seconds=120, output_bytes=256 << 20, cpu_seconds=240, threads=1)
OTHER = WARM.model_copy(update={"wall_seconds": 119.0})
"""Limits that the guest which waits does not have: another is forked for the job."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where job folders are, open to who knows the way."""
    folder = tmp_path_factory.mktemp("scratch")
    for level in (folder, *folder.parents[:2]):
        level.chmod(0o711)
    return folder


@pytest.fixture(scope="module")
def sandbox(folder: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(folder=folder, spare=WARM, slots=2)
    sandbox.start()
    yield sandbox
    sandbox.close()
    assert [path.name for path in folder.iterdir() if path.name.startswith(spares.PREFIX)] == []


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that draws at inference, so that its report shows generators, and its batch."""
    place = tmp_path_factory.mktemp("uploads")
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((6,))
    x = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(keras.layers.Dense(8)(x)))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    values = np.random.default_rng(0).normal(3, 2, (64, 6)).astype("float32")
    model.fit(values, values[:, 0] > 3, epochs=2, verbose=0)
    model.save(place / "model.keras")
    np.savez(place / "batch.npz", x=values, y=(values[:, 0] > 3).astype("int64"))
    return place


@pytest.fixture
def run(sandbox: Sandbox, uploads: Path, folder: Path, request: pytest.FixtureRequest) -> Callable[..., Any]:
    def run(name: str, limits: Limits = WARM) -> tuple[Outcome, Path]:
        job = folder / f"{abs(hash(request.node.name))}-{name}"
        (job / "in").mkdir(parents=True)
        for upload in uploads.iterdir():
            os.link(upload, job / "in" / upload.name)
        task = Task(diagnosis_id="d-1", model_file="model.keras", batch_file="batch.npz")
        return sandbox.run(job, task, limits, on_progress=lambda *_: None, should_stop=lambda: False), job

    return run


def lives(spare: Spare) -> bool:
    return Path(f"/proc/{spare.ticket.pid}").exists()


def report_of(job: Path) -> dict[str, Any]:
    """All but when it was made and how long that took."""
    report = json.loads((job / "out" / "report.json").read_bytes())
    return {name: value for name, value in report.items() if name not in ("timing_s", "created_at")}


def test_who_waited_reports_what_any_other_does(sandbox, run):
    spare = waiting(sandbox)
    forked, other_job = run("forked", OTHER)
    assert lives(spare), "it does not fit, and waits on"
    used, job = run("waited")
    assert not lives(spare)
    assert (used.kind, forked.kind) == ("succeeded", "succeeded")
    assert report_of(job) == report_of(other_job)
    assert used.repaired_file == forked.repaired_file == "repaired.keras"
    assert (job / "repaired.keras").read_bytes() == (other_job / "repaired.keras").read_bytes()
    assert not spare.folder.path.exists()


def test_one_that_ended_meanwhile_is_replaced(sandbox, run):
    spare = waiting(sandbox)
    os.kill(spare.ticket.pid, signal.SIGKILL)
    wait_for(lambda: not lives(spare))
    assert run("after")[0].kind == "succeeded"
    assert not spare.folder.path.exists()
    assert waiting(sandbox) is not spare


@pytest.mark.slow
def test_a_parent_that_dies_takes_it_along(sandbox, run):
    spare = waiting(sandbox)
    os.kill(procfs.parent_of(spare.ticket.pid), signal.SIGKILL)
    wait_for(lambda: not lives(spare))
    assert run("after")[0].kind in ("succeeded", "crashed"), "the next one may find out"
    assert run("later")[0].kind == "succeeded"
    assert waiting(sandbox).parent is not spare.parent


def test_none_is_made_where_all_places_are_taken(sandbox, run):
    waiting(sandbox)
    sandbox._running += 2
    try:
        assert run("busy")[0].kind == "succeeded"
        assert sandbox.spare is None
    finally:
        sandbox._running -= 2
    assert run("idle")[0].kind == "succeeded"
    assert waiting(sandbox)


def test_what_ends_again_and_again_is_not_made_again(folder):
    sandbox = BareSandbox(folder=folder, spare=WARM)
    sandbox.start()
    try:
        for _ in range(spares.MOST_FAILURES):
            spare = sandbox.spare
            wait_for(lambda spare=spare: spare.ticket.pid and lives(spare))
            os.kill(spare.ticket.pid, signal.SIGKILL)
            wait_for(lambda spare=spare: not spare.is_ready and spare.has_failed)
            sandbox._stock(spare.parent, sandbox._begun)
        assert sandbox.spare is None
    finally:
        sandbox.close()


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.fixture(scope="module")
def hostile(folder: Path) -> Iterator[Sandbox]:
    sandbox = HostileSandbox(folder=folder, spare=WARM)
    sandbox.start()
    yield sandbox
    sandbox.close()


def test_no_attempt_to_escape_succeeds_from_one_that_waited(hostile, folder):
    spare = waiting(hostile)
    (folder / "neighbour" / "in").mkdir(parents=True)
    (folder / "neighbour" / "in" / "model.keras").write_text("secret")
    assert headline(Run(hostile, folder / "attacked", "tries_to_escape", WARM)) == []
    assert not lives(spare)


def test_who_waited_has_nothing_that_others_have_not(hostile, folder):
    waiting(hostile)
    waited, forked = (
        headline(Run(hostile, folder / name, "looks_around", limits))
        for name, limits in (("looked-warm", WARM), ("looked-forked", OTHER))
    )
    own = {"cwd", "uid"}
    assert {k: v for k, v in waited.items() if k not in own} == {k: v for k, v in forked.items() if k not in own}


@pytest.mark.slow
def test_uploads_are_opened_to_another_user_only(folder: Path, uploads: Path) -> None:
    sandbox = Sandbox(folder=folder, spare=WARM, guest_uid_base=0)
    sandbox.start()
    try:
        spare = waiting(sandbox)
        (folder / "closed" / "in").mkdir(parents=True)
        for upload in uploads.iterdir():
            place = folder / "closed" / "in" / upload.name
            place.write_bytes(upload.read_bytes())
            place.chmod(0o600)
            os.link(place, folder / upload.name)
        task = Task(diagnosis_id="d-1", model_file="model.keras", batch_file="batch.npz")
        ended = sandbox.run(folder / "closed", task, WARM, on_progress=lambda *_: None, should_stop=lambda: False)
    finally:
        sandbox.close()
    assert ended.kind == "succeeded"
    assert not lives(spare)
    assert {(folder / upload.name).stat().st_mode & 0o777 for upload in uploads.iterdir()} == {0o600}
