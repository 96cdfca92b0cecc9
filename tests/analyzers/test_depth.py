"""The depth curve, and what the report says about effects too small for the sample."""

from __future__ import annotations

import numpy as np
import pytest

import analyzers
from tests import specimens


def test_a_fix_flattens_the_curve_on_samples_that_it_did_not_see() -> None:
    s = specimens.lagging()
    report = analyzers.diagnose(s.model, s.x, s.y)
    assert [p.path for p in report.depth] == [x.path for x in report.layers]
    assert [p.local for p in report.depth] == [x.divergence.kl for x in report.layers]
    for point in report.depth:
        assert point.after_fix is not None
        assert 0.0 < point.after_fix < 0.2 * (point.local + point.inherited)


def test_what_comes_behind_one_broken_layer_inherits_it() -> None:
    s = specimens.healthy()
    model = specimens.copy_of(s.model)
    first = specimens.norms(model)[0]
    first.moving_mean.assign(np.array(first.moving_mean) + 3.0 * np.sqrt(np.array(first.moving_variance)))
    points = analyzers.diagnose(model, s.x, s.y).depth
    assert points[0].local > 1.0
    assert points[0].inherited == pytest.approx(0.0, abs=1e-6)
    assert all(p.local < 0.1 * points[0].local for p in points[1:])
    assert max(p.inherited for p in points[1:]) > 0.1


def test_no_fix_no_curve_after_it() -> None:
    s = specimens.healthy()
    assert all(p.after_fix is None for p in analyzers.diagnose(s.model, s.x, s.y).depth)


def test_more_samples_show_smaller_effects() -> None:
    s = specimens.healthy()
    few, many = (analyzers.diagnose(s.model, s.x[:n], s.y[:n]) for n in (24, 192))
    for small, large in zip(few.layers, many.layers, strict=True):
        assert small.smallest_detectable_kl > 3 * large.smallest_detectable_kl > 0
    for report in (few, many):
        difference = report.phases.difference
        assert difference.smallest_detectable_rms == pytest.approx(2.0 * difference.noise_floor)
        assert difference.samples_to_settle is None
