"""Genuine uploads through the sandbox as shipped: no payloads here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from analyzers.report import Report
from app.sandbox.host import Sandbox
from app.sandbox.protocol import Limits, Outcome, Task

LIMITS = Limits(memory_bytes=3 << 30, wall_seconds=120, output_bytes=256 << 20, cpu_seconds=240)


@pytest.fixture(scope="module")
def shipped() -> Iterator[Sandbox]:
    sandbox = Sandbox()
    sandbox.start()
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    folder = tmp_path_factory.mktemp("uploads")
    x = np.random.default_rng(0).normal(5, 3, (32, 8, 8, 3)).astype("float32")
    layers = [
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(x, np.arange(32) % 2, epochs=2, verbose=0)
    for name in ("model.keras", "model.h5"):
        model.save(folder / name)
    (folder / "broken.keras").write_bytes((folder / "model.keras").read_bytes()[:-200])
    hidden_code = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Lambda(lambda t: t * 2)])
    hidden_code.save(folder / "lambda.keras")
    np.savez(folder / "batch.npz", x=x, y=np.arange(32) % 2)
    np.savez(folder / "wrong.npz", x=x[:, :4], y=np.arange(32) % 2)
    return folder


@pytest.fixture
def diagnose(shipped: Sandbox, uploads: Path, tmp_path: Path) -> Callable[..., Outcome]:
    def diagnose(model: str, batch: str = "batch.npz", limits: Limits = LIMITS) -> Outcome:
        (tmp_path / "in").mkdir()
        for name in (model, batch):
            (tmp_path / "in" / name).write_bytes((uploads / name).read_bytes())
        task = Task(diagnosis_id="d-1", model_file=model, batch_file=batch)
        seen: list[tuple[str, str | None]] = []
        outcome = shipped.run(
            tmp_path, task, limits, on_progress=lambda s, _, note: seen.append((s, note)), should_stop=lambda: False
        )
        # What it shares with its warm parent can be too much already, before it has said a word.
        if outcome.kind != "out_of_memory":
            assert seen[0] == ("inspect", None)
        if outcome.kind == "succeeded":
            assert seen[1][1] is not None
            assert "4 layers" in seen[1][1]
        return outcome

    return diagnose


@pytest.mark.parametrize("model", ["model.keras", "model.h5"])
def test_a_model_is_diagnosed(diagnose, tmp_path, model):
    outcome = diagnose(model)
    assert outcome.kind == "succeeded", (tmp_path / "out" / "guest.log").read_text()
    report = Report.model_validate_json((tmp_path / "out" / "report.json").read_bytes())
    assert report.id == "d-1"
    assert [layer.class_name for layer in report.layers] == ["BatchNormalization"]
    promised = any(remedy.repaired_model for remedy in report.remedies)
    assert promised == (outcome.repaired_file is not None)
    if outcome.repaired_file is not None:
        assert (tmp_path / outcome.repaired_file).suffix == Path(model).suffix


@pytest.mark.parametrize(
    ("model", "batch", "code"),
    [
        ("broken.keras", "batch.npz", "model_unreadable"),
        ("lambda.keras", "batch.npz", "model_unsafe"),
        ("model.keras", "wrong.npz", "batch_mismatch"),
    ],
)
def test_a_bad_upload_is_refused_by_name(diagnose, tmp_path, model, batch, code):
    outcome = diagnose(model, batch)
    assert (outcome.kind, outcome.code) == ("refused", code)
    assert str(tmp_path) not in outcome.detail


def test_too_little_memory_is_named(diagnose):
    outcome = diagnose("model.keras", limits=LIMITS.model_copy(update={"memory_bytes": 200 << 20}))
    assert (outcome.kind, outcome.code) == ("out_of_memory", "out_of_memory")
