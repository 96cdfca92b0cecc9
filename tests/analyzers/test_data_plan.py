"""The plan for data, held against what statistics of so many samples really leave."""

from __future__ import annotations

import numpy as np
import pytest

import analyzers
from analyzers.batches.spec import Batch
from analyzers.observation import Observer
from analyzers.phase import flatten
from analyzers.statistics import relative_rms
from analyzers.subjects.keras_model import KerasSubject
from tests import specimens


def test_more_samples_leave_less_by_the_square_root() -> None:
    s = specimens.lagging()
    plan = analyzers.diagnose(s.model, s.x, s.y).data_plan
    assert plan[0].samples == len(s.x)
    for point in plan:
        share = point.remaining_error / plan[0].remaining_error
        assert share == pytest.approx(np.sqrt(len(s.x) / point.samples), rel=1e-6)
    assert any(p.remaining_error == pytest.approx(0.01, rel=0.01) for p in plan)


def test_the_error_is_what_other_samples_of_that_size_show() -> None:
    """Statistics of many disjoint samples of one size scatter around those of all of them by the planned error."""
    s = specimens.lagging()
    size = 64
    planned = analyzers.diagnose(s.model, s.x[:size], s.y[:size]).data_plan[0].remaining_error
    x, _ = specimens.data(8 * size, 77)
    with Observer(KerasSubject(s.model), Batch([x], None, None, ["x"], ["y"]), 32, seed=0) as observer:
        rows = np.arange(size)
        ideal = flatten(observer.with_statistics(observer.calibrate(), rows=rows).outputs)
        errors = []
        for part in np.split(np.arange(8 * size), 8):
            got = flatten(observer.with_statistics(observer.calibrate(part), rows=rows).outputs)
            errors.append(relative_rms(got - ideal, [ideal]))
    assert 0.4 * planned < float(np.sqrt(np.mean(np.square(errors)))) < 2.5 * planned


def test_no_statistics_no_plan() -> None:
    s = specimens.healthy()
    assert analyzers.diagnose(s.model, s.x, s.y).data_plan == []
