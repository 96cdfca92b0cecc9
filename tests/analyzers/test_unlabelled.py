"""Without labels nothing shows which phase is right: statistics of other weights and a strange sample look alike."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

import analyzers
from analyzers.report import Report
from tests import ailments


@cache
def report(*, labelled: bool) -> Report:
    """On a net whose weights were pruned after its statistics were taken."""
    ill = ailments.pruned()
    return analyzers.diagnose(ill.model, ill.x, ill.y if labelled else None, batch_size=ill.batch_size)


def test_labels_make_it_certain() -> None:
    certain = report(labelled=True)
    assert certain.primary_cause == "bn_statistics_stale"
    assert certain.causes[0].severity == "critical"
    assert certain.remedies[0].verification.status == "verified"
    assert "The weights are fine" in certain.causes[0].explanation


def test_without_them_both_explanations_are_named_and_neither_is_sure() -> None:
    open_ = report(labelled=False)
    by_code = {c.code: c for c in open_.causes}
    assert open_.primary_cause == "bn_statistics_stale"
    assert by_code["bn_statistics_stale"].severity == "warning"
    assert by_code["bn_statistics_stale"].confidence <= 0.5
    assert by_code["input_distribution_shift"].severity == "info"
    assert "The weights are fine" not in by_code["bn_statistics_stale"].explanation
    assert "Is this sample of the kind" in open_.headline


def test_nothing_is_called_verified_before_the_question_is_answered(tmp_path: Path) -> None:
    ill = ailments.pruned()
    ill.model.save(tmp_path / "m.keras")
    np.savez(tmp_path / "b.npz", x=ill.x)
    open_ = analyzers.diagnose_files(
        tmp_path / "m.keras", tmp_path / "b.npz", batch_size=ill.batch_size, repaired_path=tmp_path / "r.keras"
    )
    remedy = next(r for r in open_.remedies if r.code == "recalibrate_bn_statistics")
    assert remedy.verification.status == "not_tested"
    assert not any(r.repaired_model for r in open_.remedies)
    assert not (tmp_path / "r.keras").exists()
