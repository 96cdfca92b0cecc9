"""GPUs as a program on PATH lists them: which are taken, what jobs are told of them, what becomes of one that fails.

No device stands behind the list: guests are played, and what they do on a real GPU is not tried here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.sandbox.protocol import GuestDevice
from app.settings import Settings
from app.worker.care import DeviceCare
from app.worker.devices import DeviceMissing, choose, list_gpus
from app.worker.slots import Slots
from tests.app.conftest import check_problem
from tests.app.double import script
from tests.app.gpus import CLASS, MEMORY_MIB, listing, path_with, uuid
from tests.app.served import DOUBLE, ROOT, Server


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two GPUs on this machine, and the file that lists them."""
    said = listing(tmp_path / "bin", 2)
    monkeypatch.setenv("PATH", path_with(said.parent))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return said


def names(wanted: str, **options: Any) -> list[tuple[str, int]]:
    asked: dict[str, Any] = {"slots": 3, "guests_per_gpu": 2, "memory_fraction": 0.8} | options
    return [(device.name, device.shares) for device in choose(wanted, **asked)]


def test_devices_are_those_that_are_asked_for(two: Path) -> None:
    assert names("auto") == names("gpu") == [("gpu:0", 2), ("gpu:1", 2)]
    assert names("gpu:1") == [("gpu:1", 2)]
    assert names("cpu+gpu:1") == [("cpu", 3), ("gpu:1", 2)]
    assert names("cpu+gpu", guests_per_gpu=1) == [("cpu", 3), ("gpu:0", 1), ("gpu:1", 1)]
    assert names("cpu") == [("cpu", 3)]
    with pytest.raises(DeviceMissing, match="wants GPU 7; nvidia-smi lists 0, 1"):
        names("gpu:0,7")


def test_guests_share_a_gpu_evenly(two: Path) -> None:
    first = choose("gpu:0", 1, 4, 0.8)[0]
    assert (first.uuid, first.model, first.memory_bytes) == (uuid(0), CLASS, MEMORY_MIB << 20)
    assert first.share_bytes == (MEMORY_MIB << 20) * 8 // 40


def test_without_gpus_auto_is_the_processor(two: Path) -> None:
    two.write_text("")
    assert names("auto") == [("cpu", 3)]
    with pytest.raises(DeviceMissing, match="wants a GPU"):
        names("gpu")
    two.with_name("nvidia-smi").write_text("#!/bin/sh\necho no driver >&2; exit 9\n")
    assert names("auto") == [("cpu", 3)]
    two.with_name("nvidia-smi").unlink()
    assert list_gpus() == []


@pytest.mark.parametrize(("visible", "seen"), [("1", [1]), (uuid(0), [0]), ("-1", []), ("", []), ("1,0", [0, 1])])
def test_what_the_operator_hid_stays_hidden(two: Path, visible: str, seen: list[int]) -> None:
    assert [gpu.index for gpu in list_gpus({"CUDA_VISIBLE_DEVICES": visible})] == seen


@pytest.mark.parametrize("wanted", ["tpu", "gpu:", "gpu:0,", "gpu:x", "cpu+", "cpu,gpu"])
def test_a_setting_that_is_none_is_refused(wanted: str) -> None:
    with pytest.raises(ValueError, match="cpu"):
        Settings(devices=wanted)


def test_a_worker_that_lacks_its_gpu_says_so(two: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(
        [*command, "--devices", "gpu:3"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "wants GPU 3; nvidia-smi lists 0, 1" in done.stderr


class Sandbox:
    """Tries GPUs; whether one works stands in `ailments`."""

    def __init__(self) -> None:
        self.ailments: list[str | None] = []
        self.tried: list[str] = []

    def check(self, device: GuestDevice) -> str | None:
        self.tried.append(device.visible)
        return self.ailments.pop(0) if self.ailments else None


def test_a_gpu_is_tried_again_and_again_before_it_is_withdrawn(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.worker.care.PAUSES_SECONDS", (0.0, 0.0, 0.0))
    sandbox, slots = Sandbox(), Slots(choose("gpu", 1, 1, 1.0), lambda _: None)
    care, first = DeviceCare(slots, sandbox, 60), slots.devices[0]
    care.first_look()
    assert sandbox.tried == [uuid(0), uuid(1)]
    sandbox.ailments = ["not yet", "not yet", None]
    care.doubt(first)
    assert (slots.state_of(first)[0], len(sandbox.tried)) == ("ready", 5)
    sandbox.ailments = ["a\nTraceback\nsome.module.Error: it is ill"] * 3
    care.doubt(first)
    assert slots.state_of(first) == ("withdrawn", "it is ill")
    care.doubt(first)
    assert len(sandbox.tried) == 8, "nothing to try before its next look"
    assert [slots.state_of(device)[0] for device in slots.devices] == ["withdrawn", "ready"]
    two.write_text("")
    care.doubt(slots.devices[1])
    assert slots.state_of(slots.devices[1]) == ("withdrawn", "nvidia-smi does not list it any more")


def devices(server: Server) -> dict[str, Any]:
    (worker,) = server.get("/workers").json()["items"]
    return {device["name"]: device for device in worker["devices"]}


def test_jobs_run_on_gpus_and_a_gpu_that_fails_is_withdrawn_and_comes_back(
    two: Path, start: Callable[..., Server]
) -> None:
    server = start(
        devices="gpu:0", guests_per_gpu=2, gpu_memory_fraction=0.5, device_recheck_seconds=1, attempts_limit=9
    )
    found = devices(server)["gpu:0"]
    assert (found["state"], found["slots"], found["gpu_class"]) == ("ready", 2, CLASS)
    share = (MEMORY_MIB << 20) // 4
    assert found["memory_per_guest_bytes"] == share
    on_gpu = server.post(script(), data={"device": "gpu"}).json()
    assert on_gpu["environment"]["device"] == f"GPU: {uuid(0)}, {share} bytes"
    assert server.post(script(), data={"device": "cpu"}).json()["environment"]["device"] == "CPU", "hidden from it"
    check_problem(server.post(script(), data={"device": "tpu"}), "invalid_request", 422)

    once = server.ended(server.submit(script(faults=1), data={"device": "gpu"}))
    assert (once["status"], once["attempt"], once["device"]) == ("succeeded", 2, "gpu")
    assert devices(server)["gpu:0"]["state"] == "ready"

    ailment = server.data_dir / f"broken-{uuid(0)}"
    ailment.write_text("it computes nonsense")
    poor = server.submit(script(faults=1), data={"device": "gpu"})
    server.until(lambda: devices(server)["gpu:0"]["state"] == "withdrawn", 20)
    assert "it computes nonsense" in devices(server)["gpu:0"]["reason"]
    server.until(lambda: "1 GPU withdrawn" in server.get("/health/ready").text, 5)
    server.until(lambda: "a GPU" in str(server.job(poor)["progress"]["note"]), 5)
    began = time.monotonic()
    unserved = server.post(script(), data={"device": "gpu"})
    assert (unserved.status_code, time.monotonic() - began < 20) == (202, True), "nothing to wait for"
    assert "It waits until one joins" in unserved.json()["progress"]["note"]
    assert server.get("/workers").json()["unserved"] == [{"missing": "a GPU", "jobs": 2}]

    ailment.unlink()
    assert [server.ended(job)["status"] for job in (poor, unserved.json()["id"])] == ["succeeded"] * 2
    assert server.job(poor)["progress"]["note"] != unserved.json()["progress"]["note"]
    assert devices(server)["gpu:0"]["state"] == "ready"


def test_auto_uses_the_processor_where_no_gpu_works(two: Path, start: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for index in range(2):
        (tmp_path / "data" / f"broken-{uuid(index)}").write_text("no CUDA")
    server = start(devices="auto", slots=2)
    assert {name: device["state"] for name, device in devices(server).items()} == {
        "gpu:0": "withdrawn", "gpu:1": "withdrawn", "cpu": "ready",
    }  # fmt: skip
    assert server.post(script()).json()["environment"]["device"] == "CPU"


def test_a_job_for_a_gpu_waits_for_a_worker_that_has_one(tmp_path: Path, start: Callable[..., Server]) -> None:
    server = start(devices="cpu")
    waiting = server.submit(script(), data={"device": "gpu"})
    server.until(lambda: "It waits until one joins" in str(server.job(waiting)["progress"]["note"]), 10)
    assert server.post(script()).status_code == 200, "others are not kept"
    server.kill("worker")
    server.until(lambda: server.get("/health/ready").status_code == 200)
    assert server.job(waiting)["status"] == "queued"

    said = listing(tmp_path / "bin", 1)
    environment = server.environment | {"PATH": path_with(said.parent), "PHASEGAP_DEVICES": "auto"}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    joined = subprocess.Popen([*DOUBLE, "--parent-pid", str(os.getpid())], env=environment, cwd=ROOT)
    try:
        assert server.ended(waiting)["status"] == "succeeded"
    finally:
        joined.kill()
        joined.wait()
