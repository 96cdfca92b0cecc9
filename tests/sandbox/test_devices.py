"""A guest's GPU: hidden from the parent, given to one guest, and what becomes of a run on which it goes wrong.

Played, but for the last test: there is no GPU here, which TensorFlow in a real guest is to find.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.sandbox.device import is_fault
from app.sandbox.host import Sandbox
from app.sandbox.protocol import GuestDevice, Limits, Outcome, Task

ENTRY = Path(__file__).with_name("gpu_zygote.py")
LIMITS = Limits(memory_bytes=1 << 30, wall_seconds=30, output_bytes=1 << 26, cpu_seconds=30, threads=1)


class PlayedSandbox(Sandbox):
    """The sandbox as shipped, with guests that play."""

    def _command(self) -> list[str]:
        return [self._python, str(ENTRY)]


@pytest.fixture(scope="module")
def played() -> Iterator[Sandbox]:
    sandbox = PlayedSandbox()
    sandbox.start()
    yield sandbox
    sandbox.close()


Run = Callable[..., tuple[Outcome, dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(sandbox: Sandbox, does: str = "", visible: str | None = None) -> tuple[Outcome, dict[str, Any]]:
        said: list[str] = []
        (tmp_path / "in").mkdir(exist_ok=True)
        task = Task(diagnosis_id="d-1", model_file="model.keras", batch_file="batch.npz", loss=does)
        device = GuestDevice(visible=visible, memory_bytes=1 << 20) if visible else None
        outcome = sandbox.run(
            tmp_path,
            task,
            LIMITS.model_copy(update={"device": device}),
            on_progress=lambda stage, fraction, note: said.append(note or ""),
            should_stop=lambda: False,
        )
        return outcome, json.loads(said[0]) if said else {}

    return run


def test_the_parent_sees_no_device_and_a_guest_the_one_it_is_given(played: Sandbox, run: Run) -> None:
    assert run(played)[1] == {"parent": "-1", "cold": False, "given": None}
    assert run(played, visible="GPU-1")[1] == {"parent": "-1", "cold": False, "given": "GPU-1"}


@pytest.mark.parametrize(("does", "code"), [("fault", "worker_crashed"), ("crash", "worker_crashed")])
def test_a_guest_that_goes_wrong_casts_doubt_on_its_device(played: Sandbox, run: Run, does: str, code: str) -> None:
    outcome, _ = run(played, does, "GPU-1")
    assert (outcome.kind, outcome.code, outcome.device_fault) == ("crashed", code, True)
    assert not run(played, does)[0].device_fault, "there was no device to go wrong"


def test_a_lack_of_memory_is_the_job_s_and_says_which(played: Sandbox, run: Run) -> None:
    outcome, _ = run(played, "no memory", "GPU-1")
    assert (outcome.kind, outcome.limit, outcome.device_fault) == ("out_of_memory", "device_memory", False)
    assert "on the GPU" in str(outcome.detail)
    assert run(played, "no memory")[0].limit == "memory"


def test_a_device_is_tried_and_guests_spawn_where_a_fork_does_not_do(played: Sandbox, run: Run) -> None:
    assert played.check(GuestDevice(visible="GPU-well")) is None
    assert run(played, visible="GPU-well")[1]["cold"] is False
    assert played.check(GuestDevice(visible="GPU-cold")) is None
    assert run(played, visible="GPU-cold")[1]["cold"] is True
    assert run(played)[1]["cold"] is False, "the others go on as they did"
    reason = str(played.check(GuestDevice(visible="GPU-broken")))
    assert reason.count("it was initialized before the fork") == 2


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_the_operator_may_say_how_guests_start(run: Run, start: Any) -> None:
    sandbox = PlayedSandbox(guest_start=start)
    try:
        assert run(sandbox)[1]["cold"] is (start == "spawn")
        failed = sandbox.check(GuestDevice(visible="GPU-cold"))
        assert (failed is None) is (start == "spawn")
    finally:
        sandbox.close()


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure", True),
        ("NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus", True),
        ("device-side assert triggered", True),
        ("CUDNN_STATUS_EXECUTION_FAILED in cudnnConvolutionForward", True),
        ("CUDA_ERROR_OUT_OF_MEMORY: out of memory", False),
        ("Incompatible shapes: [3,4] vs. [4,3]", False),
    ],
)
def test_a_fault_is_told_from_a_model_s_own_error(words: str, fault: bool) -> None:
    assert is_fault(RuntimeError(words)) is fault


NOWHERE = GuestDevice(visible="GPU-nowhere", memory_bytes=1 << 30)


def test_a_real_guest_finds_that_there_is_no_gpu(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_start", "fork")
    assert "TensorFlow sees no GPU" in str(sandbox.check(NOWHERE))


@pytest.mark.slow
def test_a_real_guest_finds_so_when_it_spawns_too(sandbox: Sandbox) -> None:
    forked, spawned = str(sandbox.check(NOWHERE)).split("; spawned: ")
    assert "TensorFlow sees no GPU" in forked
    assert "TensorFlow sees no GPU" in spawned
