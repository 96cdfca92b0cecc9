"""Classes that an operator registers load in a guest; a module that would spoil the warm parent stops the start."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analyzers.report import Report
from app.sandbox.host import Sandbox
from app.sandbox.protocol import Limits, Outcome, Task
from app.sandbox.warm import SandboxUnavailable
from tests.sandbox.harness import waiting

LIMITS = Limits(memory_bytes=3 << 30, wall_seconds=120, output_bytes=256 << 20, cpu_seconds=240)
CLASSES = '''
import keras


@keras.saving.register_keras_serializable(package="ours")
class OwnBlock(keras.layers.Layer):
    """A normalization inside of a layer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.norm = keras.layers.Dense(8), keras.layers.BatchNormalization()

    def build(self, shape):
        self.dense.build(shape)
        self.norm.build((*shape[:-1], 8))

    def call(self, x, training=False):
        return keras.ops.relu(self.norm(self.dense(x), training=training))
'''


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    (folder / "own_layers.py").write_text(CLASSES)
    (folder / "broken_layers.py").write_text("import a_module_that_is_not_there\n")
    (folder / "busy_layers.py").write_text("import tensorflow as tf\ntf.zeros(3) + 1\n")
    return folder


@pytest.fixture(scope="module")
def uploads(classes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    sys.path.insert(0, str(classes))
    own = importlib.import_module("own_layers")
    sys.path.remove(str(classes))
    folder = tmp_path_factory.mktemp("uploads")
    x = np.random.default_rng(0).normal(5, 3, (64, 6)).astype("float32")
    y = (x.mean(axis=1) > 5).astype("int64")
    model = keras.Sequential([keras.Input((6,)), own.OwnBlock(name="block"), keras.layers.Dense(2)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(x, y, epochs=2, verbose=0)
    model.save(folder / "model.keras")
    np.savez(folder / "batch.npz", x=x, y=y)
    keras.saving.get_custom_objects().pop("ours>OwnBlock")  # from here on this process does not know it either
    return folder


def run(sandbox: Sandbox, uploads: Path, folder: Path, limits: Limits = LIMITS) -> Outcome:
    (folder / "in").mkdir(parents=True)
    for name in ("model.keras", "batch.npz"):
        (folder / "in" / name).write_bytes((uploads / name).read_bytes())
    task = Task(diagnosis_id="d-1", model_file="model.keras", batch_file="batch.npz")
    return sandbox.run(folder, task, limits, on_progress=lambda *_: None, should_stop=lambda: False)


def test_registered_classes_load(
    classes: Path, uploads: Path, tmp_path: Path, start_as: Callable[..., Sandbox]
) -> None:
    """In a guest that waited for its job, and in one that was forked for it."""
    knowing = start_as(Sandbox, custom_classes_modules=["own_layers"], custom_classes_dir=classes, spare=LIMITS)
    spare = waiting(knowing)
    forked = LIMITS.model_copy(update={"wall_seconds": LIMITS.wall_seconds - 1})
    for name, limits in (("forked", forked), ("waited", LIMITS)):
        assert spare.is_ready
        assert run(knowing, uploads, tmp_path / name, limits).kind == "succeeded"
        report = Report.model_validate_json((tmp_path / name / "out" / "report.json").read_bytes())
        assert [layer.path.split("/")[1] for layer in report.layers] == ["block"]
        assert report.primary_cause == "bn_statistics_unconverged"
        assert {c.name: c.passed for c in report.checks}["replay_identity"]
    assert not spare.is_ready


def test_others_are_named_with_what_to_do(uploads: Path, tmp_path: Path, start_as: Callable[..., Sandbox]) -> None:
    outcome = run(start_as(Sandbox), uploads, tmp_path)
    assert outcome.code == "model_needs_custom_code"
    assert outcome.detail is not None
    assert "`ours>OwnBlock`" in outcome.detail
    assert "SavedModel" in outcome.detail


@pytest.mark.parametrize(
    ("module", "said"),
    [("broken_layers", "cannot be imported: ModuleNotFoundError"), ("busy_layers", "runs a TensorFlow")],
)
def test_a_module_that_cannot_be_used_stops_the_start(classes: Path, module: str, said: str) -> None:
    sandbox = Sandbox(custom_classes_modules=[module], custom_classes_dir=classes)
    with pytest.raises(SandboxUnavailable, match=f"the module {module} of custom classes") as stopped:
        sandbox.start()
    assert said in str(stopped.value)


def test_the_command_line_registers_them_too(classes: Path, uploads: Path) -> None:
    command = [sys.executable, "-m", "app.cli", "diagnose", "--custom-classes", "own_layers"]
    files = [str(uploads / "model.keras"), str(uploads / "batch.npz")]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*command, *files], cwd=classes, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "bn_statistics_unconverged" in done.stdout
