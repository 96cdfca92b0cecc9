"""A batch that is larger than what a diagnosis may hold: mapped, never held, and the same report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import analyzers
from analyzers.report import Report
from app.sandbox.host import Sandbox
from app.sandbox.protocol import Limits, Task
from tests import specimens

ROOT = Path(__file__).resolve().parents[2]


def same_in_every_run(report: Report) -> dict[str, Any]:
    return report.model_dump(mode="json", exclude={"created_at", "timing_s"})


@pytest.fixture
def scaled_bytes(tmp_path: Path) -> tuple[Path, Path]:
    """A healthy model and a sample of another type and scale, so that the trials on the input run."""
    s = specimens.scaled()
    s.model.save(tmp_path / "m.keras")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("x", data=s.x.astype("float64"), chunks=(5, 12, 12, 3), compression="gzip")
        file["y"] = s.y
    return tmp_path / "m.keras", tmp_path / "b.h5"


def test_a_mapped_batch_gives_the_same_report(scaled_bytes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    held = analyzers.diagnose_files(*scaled_bytes)
    for module in ("scratch", "values"):
        monkeypatch.setattr(f"analyzers.batches.{module}.IN_MEMORY_BYTES", 0)
    monkeypatch.setattr("analyzers.batches.lazy.PIECE_BYTES", 10_000)
    mapped = analyzers.diagnose_files(*scaled_bytes)
    assert held.primary_cause == "input_scaling_mismatch"
    pieces = same_in_every_run(mapped)["batch"]["inputs"][0], same_in_every_run(held)["batch"]["inputs"][0]
    assert pieces[0].pop("mean") == pytest.approx(pieces[1].pop("mean"), rel=1e-12)  # sums in another order
    assert pieces[0].pop("sd") == pytest.approx(pieces[1].pop("sd"), rel=1e-12)
    assert pieces[0] == pieces[1]
    left, right = same_in_every_run(mapped), same_in_every_run(held)
    assert left.pop("batch")["samples"] == right.pop("batch")["samples"]
    assert left == right


LIMITED = """
import resource, sys
from pathlib import Path
import analyzers
from analyzers import observation
from analyzers.batches import lazy, scratch, values
from analyzers.errors import OutOfMemory

model, small, large, spare_mib = *map(Path, sys.argv[1:4]), int(sys.argv[4])
# As on a batch of a real size, pictures of which fewer fit into a step, a calibration batch and what is held.
lazy.PIECE_BYTES, observation.CALIBRATION_BYTES = 1 << 22, 1 << 27
scratch.IN_MEMORY_BYTES = values.IN_MEMORY_BYTES = 1 << 22
analyzers.diagnose_files(model, small, batch_size=64)
with open("/proc/self/status") as file:
    taken = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (taken + (spare_mib << 20), resource.RLIM_INFINITY))
report = analyzers.diagnose_files(model, large, batch_size=64)
print(report.batch.samples, report.batch.inputs[0].dtype)
scratch.IN_MEMORY_BYTES = values.IN_MEMORY_BYTES = 1 << 40
try:
    analyzers.diagnose_files(model, large, batch_size=64)
except OutOfMemory as error:
    print(error.code)
"""


def smooth_model(path: Path, size: int) -> None:
    image = keras.Input((size, size, 1), name="image")
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(size // 8)(image))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(8)(x))
    keras.Model(image, keras.layers.Dense(2)(x)).save(path)


def mostly_empty(path: Path, samples: int, size: int) -> None:
    """Pictures (samples, size, size, 1) as float64 with noise in a corner, which compress a hundredfold."""
    corner = np.random.default_rng(0).normal(size=(samples, size // 8, size // 8)).astype("float16")
    with h5py.File(path, "w") as file:
        x = file.create_dataset("x", (samples, size, size, 1), "float64", chunks=(1, size, size, 1), compression=1)
        for row, noise in enumerate(corner):
            picture = np.zeros((size, size))
            picture[: size // 8, : size // 8] = noise
            x[row, ..., 0] = picture


def test_a_batch_is_read_within_a_limit_that_it_would_break(tmp_path: Path) -> None:
    """96 MiB unpacked and 48 MiB in the model's type, with 64 MiB to spare; held as a control, they do not fit."""
    smooth_model(tmp_path / "m.keras", 128)
    mostly_empty(tmp_path / "small.h5", 64, 128)
    mostly_empty(tmp_path / "large.h5", 768, 128)
    arguments = [str(tmp_path / name) for name in ("m.keras", "small.h5", "large.h5")]
    ran = subprocess.run([sys.executable, "-c", LIMITED, *arguments, "64"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["768 float32", "out_of_memory"]


@pytest.mark.slow
def test_a_guest_takes_a_batch_of_three_times_its_memory(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    smooth_model(folder / "m.keras", 256)
    mostly_empty(folder / "b.h5", 6144, 256)  # 3 GiB
    limits = Limits(memory_bytes=1 << 30, wall_seconds=600, output_bytes=4 << 30, cpu_seconds=1200)
    task = Task(diagnosis_id="d-1", model_file="m.keras", batch_file="b.h5", batch_size=64)
    sandbox = Sandbox()
    sandbox.start()
    try:
        ended = sandbox.run(tmp_path, task, limits, on_progress=lambda *_: None, should_stop=lambda: False)
    finally:
        sandbox.close()
    assert ended.kind == "succeeded", ended.detail
    assert Report.model_validate_json((tmp_path / "out" / "report.json").read_bytes()).batch.samples == 6144
    assert not (tmp_path / "scratch").exists()
