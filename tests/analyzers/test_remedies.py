"""Remedies help data that they never saw, and the code that is printed is what was verified."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import analyzers
from analyzers.remedies._recalibration import recalibrate
from tests import specimens


def accuracy(model: object, x: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean(np.asarray(model(x, training=False)).argmax(axis=1) == y))  # type: ignore[operator]


@pytest.mark.parametrize("code", ["bn_statistics_unconverged", "bn_statistics_never_updated", "bn_corrupt_statistics"])
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_repaired_model_predicts_unseen_data(code: str, suffix: str, tmp_path: Path) -> None:
    s = specimens.BY_CAUSE[code]()
    upload, batch, repaired = tmp_path / f"model.{suffix}", tmp_path / "batch.npz", tmp_path / f"repaired.{suffix}"
    s.model.save(upload)
    np.savez(batch, x=s.x, y=s.y)
    report = analyzers.diagnose_files(upload, batch, repaired_path=repaired)
    fix = report.remedies[0]
    assert fix.code == report.recommended_fix
    assert fix.repaired_model
    assert fix.verification.status == "verified"
    if code != "bn_corrupt_statistics":  # where losses are NaN before, no interval of their decrease is given
        assert fix.verification.interval is not None
        assert fix.verification.interval[0] > 0
    before, after = (keras.saving.load_model(p, compile=False) for p in (upload, repaired))
    assert accuracy(after, *s.held_out) > max(0.9, accuracy(before, *s.held_out))
    for a, b in zip(before.weights, after.weights, strict=True):
        if not a.path.endswith(("moving_mean", "moving_variance")):
            np.testing.assert_array_equal(np.array(a), np.array(b))


def test_only_the_corrupt_layer_is_touched(tmp_path: Path) -> None:
    s = specimens.corrupt()
    upload, batch, repaired = tmp_path / "model.keras", tmp_path / "batch.npz", tmp_path / "repaired.keras"
    s.model.save(upload)
    np.savez(batch, x=s.x, y=s.y)
    analyzers.diagnose_files(upload, batch, repaired_path=repaired)
    before, after = (keras.saving.load_model(p, compile=False) for p in (upload, repaired))
    changed = [
        a.path
        for a, b in zip(before.weights, after.weights, strict=True)
        if np.array(a).tobytes() != np.array(b).tobytes()
    ]
    assert sorted(p.split("/")[-2] for p in changed) == ["norm_1", "norm_1"]


def test_printed_code_does_what_was_verified(tmp_path: Path) -> None:
    s = specimens.dropping()
    for norm in specimens.norms(s.model):
        norm.moving_mean.assign(np.zeros(norm.moving_mean.shape))
        norm.moving_variance.assign(np.ones(norm.moving_variance.shape))
    upload, batch, repaired = tmp_path / "model.keras", tmp_path / "batch.npz", tmp_path / "repaired.keras"
    s.model.save(upload)
    np.savez(batch, x=s.x, y=s.y)
    report = analyzers.diagnose_files(upload, batch, repaired_path=repaired)
    assert report.recommended_fix == "recalibrate_bn_statistics"
    pasted = keras.saving.load_model(upload)
    rates = [n.rate for n in pasted.layers if isinstance(n, keras.layers.Dropout)]
    recalibrate(pasted, s.x)
    served = keras.saving.load_model(repaired)
    for a, b in zip(pasted.weights, served.weights, strict=True):
        np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-6, atol=1e-6)
    assert rates == [n.rate for n in pasted.layers if isinstance(n, keras.layers.Dropout)]
    snippet = report.remedies[0].snippet
    assert snippet is not None
    compile(snippet, "snippet", "exec")


def test_few_samples_verify_nothing_and_say_so() -> None:
    s = specimens.lagging()
    report = analyzers.diagnose(s.model, s.x[:6], s.y[:6], batch_size=6)
    fix = next(r for r in report.remedies if r.code == "recalibrate_bn_statistics")
    assert fix.verification.status == "not_tested"
    assert "6 samples" in fix.verification.note


def test_statistics_of_a_wrongly_scaled_sample_are_never_offered() -> None:
    s = specimens.lagging()
    report = analyzers.diagnose(s.model, s.x * np.float32(255), s.y)
    assert report.recommended_fix != "recalibrate_bn_statistics" or report.primary_cause == "bn_statistics_unconverged"
    if report.primary_cause == "input_scaling_mismatch":
        assert not any(r.repaired_model for r in report.remedies)


def test_a_single_sample_is_offered_nothing_that_makes_it_worse() -> None:
    s = specimens.lagging()
    for i in range(6):
        report = analyzers.diagnose(s.model, s.x[i : i + 1], s.y[i : i + 1], batch_size=1)
        for remedy in report.remedies:
            before, after = remedy.verification.before.get("loss"), remedy.verification.after.get("loss")
            if remedy.repaired_model and before is not None and after is not None:
                assert after <= before
        assert not (report.verdict == "inconclusive" and report.severity == "critical")
