"""Two faults at once: both are named, and neither hides the other or lends it a remedy that does harm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import analyzers
from analyzers.report import Report
from tests import specimens

LAG = "bn_statistics_unconverged"


def lagging(x_factor: float = 1.0, offset: float = 0.0, y: Any = None, model: Any = None) -> Report:
    s = specimens.lagging()
    x = (s.x * x_factor + offset).astype("float32")
    return analyzers.diagnose(model or s.model, x, s.y if y is None else y, batch_size=s.batch_size)


def loud(report: Report) -> set[str]:
    return {c.code for c in report.causes if c.severity != "info"}


@pytest.mark.parametrize(("factor", "offset"), [(8.0, 0.0), (0.2, 0.0), (1.0, -3.0), (0.5, 1.0)])
def test_a_lag_behind_a_wrong_scale(factor: float, offset: float) -> None:
    report = lagging(factor, offset)
    assert loud(report) == {LAG, "input_scaling_mismatch"}
    assert not any(r.repaired_model for r in report.remedies)  # statistics of a wrongly scaled sample repair nothing
    trial = next(c for c in report.causes if c.code == "input_scaling_mismatch")
    found = next(e.value for e in trial.evidence if e.name == "factor_that_restores")
    assert isinstance(found, float)
    assert found * factor == pytest.approx(1.0, rel=0.2)


def test_a_lag_behind_renamed_classes() -> None:
    s = specimens.lagging()
    assert loud(lagging(y=(s.y + 1) % specimens.CLASSES)) == {LAG, "label_mapping_mismatch"}


def test_a_lag_behind_shuffled_labels() -> None:
    s = specimens.lagging()
    assert loud(lagging(y=np.random.default_rng(0).permutation(s.y))) == {LAG, "labels_misaligned"}


@pytest.mark.parametrize("value", [np.nan, -1.0, 1e9])
def test_a_corrupt_channel_in_a_model_that_lags(value: float) -> None:
    model = specimens.copy_of(specimens.lagging().model)
    norm = specimens.norms(model)[1]
    variance = np.array(norm.moving_variance)
    variance[0] = value
    norm.moving_variance.assign(variance)
    report = lagging(model=model)
    assert loud(report) == {LAG, "bn_corrupt_statistics"}
    corrupt = next(c for c in report.causes if c.code == "bn_corrupt_statistics")
    assert [p.rsplit("/", 1)[-1] for p in corrupt.layers] == [norm.name]


def test_a_lag_alone_is_a_lag_alone() -> None:
    assert loud(lagging()) == {LAG}
