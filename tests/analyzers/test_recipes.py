"""The code that is printed, pasted and run, makes the very statistics that were tried and served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import analyzers
from analyzers.remedies._recalibration import Recipe, snippet, undo_lag
from analyzers.report import Report
from tests import ailments, specimens


def pasted(code: str, folder: Path, x: Any) -> Any:
    """Run the code in the folder that holds `model.keras`; the model that it leaves."""
    code = code.replace("'model", f"'{folder}/model")
    exec(compile(code, "snippet", "exec"), {"x_train": x})
    return keras.saving.load_model(folder / "model_recalibrated.keras")


def diagnosed(model: Any, x: Any, y: Any, folder: Path, **options: Any) -> Report:
    model.save(folder / "model.keras")
    np.savez(folder / "batch.npz", x=x, y=y)
    return analyzers.diagnose_files(
        folder / "model.keras", folder / "batch.npz", repaired_path=folder / "repaired.keras", **options
    )


def nested(model: Any) -> Any:
    """The model inside another one."""
    inputs = keras.Input((12, 12, 3), name="outer_image")
    return specimens.compiled(keras.Model(inputs, model(inputs), name="outer"))


def lagging_and_corrupt() -> specimens.Specimen:
    s = specimens.lagging()
    variance = np.array(specimens.norms(s.model)[1].moving_variance)
    variance[3] = np.nan
    specimens.norms(s.model)[1].moving_variance.assign(variance)
    return s


MADE = {
    "lag": specimens.lagging,
    "never updated": specimens.never_updated,
    "corrupt": specimens.corrupt,
    "stale": ailments.pruned,
    "lag and corrupt": lagging_and_corrupt,
}


@pytest.mark.parametrize("what", MADE)
@pytest.mark.parametrize("wrapped", [False, True])
def test_pasted_code_makes_the_served_model(what: str, wrapped: bool, tmp_path: Path) -> None:
    s = MADE[what]()
    model = nested(s.model) if wrapped else s.model
    report = diagnosed(model, s.x, s.y, tmp_path, loss="sparse_categorical_crossentropy")
    fix = report.remedies[0]
    assert fix.code == report.recommended_fix
    assert fix.repaired_model
    assert fix.snippet is not None
    ours, served = pasted(fix.snippet, tmp_path, s.x), keras.saving.load_model(tmp_path / "repaired.keras")
    for a, b in zip(ours.weights, served.weights, strict=True):
        np.testing.assert_allclose(np.array(a), np.array(b), rtol=2e-5, atol=2e-5, err_msg=a.path)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_every_recipe_runs(share: float, tmp_path: Path) -> None:
    s = specimens.lagging()
    s.model.save(tmp_path / "model.keras")
    code = snippet(Recipe(len(s.x), None, share, 96.0 if share else None))
    model = pasted(code, tmp_path, s.x)
    before, after = (float(np.mean(m(s.x, training=False).numpy().argmax(1) == s.y)) for m in (s.model, model))
    assert after > before


def test_undoing_a_lag_solves_for_the_true_statistics() -> None:
    true_mean, true_variance = np.array([2.0, -1.0]), np.array([0.5, 3.0])
    norm = keras.layers.BatchNormalization(momentum=0.99)
    norm.build((None, 2))
    left = 0.99**120
    norm.moving_mean.assign((1 - left) * true_mean)
    norm.moving_variance.assign(left + (1 - left) * true_variance)
    undo_lag(keras.Sequential([norm]), 120)
    np.testing.assert_allclose(np.array(norm.moving_mean), true_mean, rtol=1e-5)
    np.testing.assert_allclose(np.array(norm.moving_variance), true_variance, rtol=1e-5)


def test_two_faults_of_the_statistics_are_mended_by_one_model(tmp_path: Path) -> None:
    s = lagging_and_corrupt()
    report = diagnosed(s.model, s.x, s.y, tmp_path)
    loud = {c.code for c in report.causes if c.severity != "info"}
    assert {"bn_corrupt_statistics", "bn_statistics_unconverged"} <= loud
    repaired = keras.saving.load_model(tmp_path / "repaired.keras")
    x, y = s.held_out
    assert float(np.mean(repaired(x, training=False).numpy().argmax(1) == y)) > 0.95
    assert "mend what else was found" in report.remedies[0].explanation
