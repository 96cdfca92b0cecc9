"""The contest of explanations: what each ill model's own explanation predicts, and what its rivals do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import analyzers
from analyzers.causes._contest import BLUR
from analyzers.report import Report
from tests import ailments, specimens
from tests.specimens import Specimen

EXPLAINS: dict[str, Callable[[], Specimen]] = {
    "bn_statistics_unconverged": specimens.lagging,
    "bn_statistics_never_updated": specimens.never_updated,
    "bn_corrupt_statistics": specimens.corrupt,
    "bn_conversion_mismatch": ailments.converted,
    "input_scaling_mismatch": specimens.scaled,
}


def report_on(s: Specimen) -> Report:
    return analyzers.diagnose(s.model, s.x, s.y, batch_size=s.batch_size)


@pytest.mark.parametrize("code", EXPLAINS)
def test_the_right_explanation_predicts_the_numbers_and_the_others_do_not(code: str) -> None:
    explained = {e.code: e.explained for e in report_on(EXPLAINS[code]()).contest}
    assert explained[code] > 0.85
    left = {rival: 1.0 - share + BLUR for rival, share in explained.items()}
    assert all(left[rival] > 4 * left[code] for rival in left if rival != code)


def test_what_nothing_predicts_leaves_the_residual_causes() -> None:
    report = report_on(ailments.pruned())
    assert all(e.explained < 0.6 for e in report.contest)
    stale = next(c for c in report.causes if c.code == "bn_statistics_stale")
    best = max(e.explained for e in report.contest)
    assert stale.confidence == pytest.approx(min(0.9, (1 - best + BLUR) / (1 + 2 * BLUR)), abs=0.001)


def test_a_blurred_lag_is_believed_less() -> None:
    """Weights that moved after the statistics were taken leave part of the divergence without an explanation."""
    s = specimens.lagging()
    sharp = report_on(s)
    model = specimens.copy_of(s.model)
    rng = np.random.default_rng(0)
    for norm in specimens.norms(model):
        variance = np.array(norm.moving_variance)
        norm.moving_variance.assign(variance * rng.lognormal(0.0, 0.25, variance.shape))
    blurred = analyzers.diagnose(model, s.x, s.y, batch_size=s.batch_size)
    shares = [next(e.explained for e in r.contest if e.code == "bn_statistics_unconverged") for r in (sharp, blurred)]
    assert shares[1] < shares[0]
    assert blurred.causes[0].confidence <= sharp.causes[0].confidence
