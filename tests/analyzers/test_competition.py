"""The way of taking statistics is chosen on samples held out, and the choice is not judged on what it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pytest

import analyzers
from analyzers.batches import fit_batch, raw_from_arrays
from analyzers.competition import EQUAL, LIGHT, NOTHING, RECALIBRATED, Choice, compete
from analyzers.evaluation import Compiled, Evaluator
from analyzers.observation import Observer
from analyzers.outputs import Outputs
from analyzers.phase import Calibrated, calibrated, folds
from analyzers.priors import Prior, blend
from analyzers.signature import specs
from analyzers.statistics import Moments
from analyzers.subjects.keras_model import KerasSubject
from analyzers.switchboard import Setting
from analyzers.verification import Trial, Tried, try_statistics
from tests import specimens

SAMPLES = 32
TRUE = Moments(np.array([0.0]), np.array([1.0]))


class Bench:
    """Stands for an observer whose model normalizes its one input and gives it out: y = (x - mean) / sd."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self.batch = SimpleNamespace(samples=len(x))
        self.subject = SimpleNamespace(fixed_batch=None)

    def outputs(self, pair: tuple[np.ndarray, np.ndarray], rows: np.ndarray | None = None) -> Outputs:
        x = self.x if rows is None else self.x[rows]
        return Outputs([(x[:, None] - pair[0]) / np.sqrt(pair[1])], [None])

    def with_statistics(self, constants: Mapping[str, tuple[np.ndarray, np.ndarray]], rows: np.ndarray) -> object:
        return SimpleNamespace(outputs=self.outputs(constants["norm"], rows))


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.array([x.mean()]), np.array([x.var()])


def contest(x: np.ndarray, prior: Prior | None) -> Choice:
    """Judged by the squared distance to what the true statistics give."""
    bench, parts = Bench(x), folds(len(x), 0)
    wanted = bench.outputs((TRUE.mean, TRUE.variance)).values[0]
    others = [{"norm": moments(np.delete(x, p))} for p in parts]
    held_out = bench.outputs(moments(x))
    for part, constants in zip(parts, others, strict=True):
        held_out.put(part, bench.outputs(constants["norm"]))
    fitted = Calibrated({"norm": moments(x)}, held_out, held_out, np.zeros(1), parts, others)
    base = bench.outputs((np.array([3.0]), np.array([9.0])))
    return compete(bench, lambda o: _squares(o, wanted, bench), base, fitted, prior)  # type: ignore[arg-type]


def _squares(outputs: Outputs, wanted: np.ndarray, bench: Bench) -> np.ndarray:
    each: np.ndarray = np.square(outputs.values[0] - wanted).mean(axis=1)
    return each


def known(mean: float, variance: float) -> Prior:
    return Prior({"norm": Moments(np.array([mean]), np.array([variance]))}, 50.0, True, False)


def test_a_right_prior_is_taken_and_is_nearer_than_the_sample() -> None:
    nearer = 0
    for seed in range(40):
        x = np.random.default_rng(seed).normal(0, 1, SAMPLES)
        choice = contest(x, known(0.0, 1.0))
        assert choice.way.share > 0 or choice.rivals  # never without rivals
        mean, variance = choice.fitted.constants["norm"]
        plain = abs(x.mean()) + abs(x.var() - 1.0)
        nearer += bool(abs(mean[0]) + abs(variance[0] - 1.0) <= plain + 1e-12)
    assert nearer >= 38


def test_a_wrong_prior_is_left_out() -> None:
    """But for samples so unlucky that nothing shows it: one standard error is no proof."""
    taken = [contest(np.random.default_rng(s).normal(0, 1, SAMPLES), known(8.0, 0.01)).way for s in range(40)]
    assert len([w for w in taken if w is not RECALIBRATED]) <= 2


def test_heavier_priors_are_not_tried_where_the_light_one_did_not_help() -> None:
    choice = contest(np.random.default_rng(3).normal(0, 1, SAMPLES), known(8.0, 0.01))
    assert [r.variant for r in choice.rivals][-1] == NOTHING
    assert len(choice.rivals) == 2  # the light blend, and doing nothing


def test_a_sample_is_judged_by_what_other_folds_chose() -> None:
    """Each of two ways is perfect on one half of the samples and ruinous on the other: no fair choice looks perfect."""
    x = np.random.default_rng(1).normal(0, 1, 64)
    halves, bench = folds(64, 0), Bench(x)
    calls: list[Outputs] = []

    def score(outputs: Outputs) -> np.ndarray:
        calls.append(outputs)
        each = np.full(64, 10.0)
        each[halves[len(calls) % 2]] = 0.1
        return each

    others = [{"norm": moments(np.delete(x, p))} for p in halves]
    plain = bench.outputs(moments(x))
    fitted = Calibrated({"norm": moments(x)}, plain, plain, np.zeros(1), halves, others)
    choice = compete(bench, score, plain, fitted, Prior({"norm": TRUE}, None, True, True))  # type: ignore[arg-type]
    goods = [halves[1], halves[0]]  # by way, in the order in which they were scored
    for good, way in zip(goods, calls[:2], strict=True):
        judged = np.isclose(choice.fitted.held_out.values[0], way.values[0]).ravel()
        assert not judged[good].any()
        assert judged[np.setdiff1d(np.arange(64), good)].all()


def test_a_blend_is_the_moments_of_both_populations_together() -> None:
    rng = np.random.default_rng(4)
    old, new = rng.normal(2.0, 3.0, (300, 5)), rng.normal(-1.0, 0.5, (100, 5))
    prior = {"norm": Moments(old.mean(0), old.var(0))}
    batch = {"norm": (new.mean(0), new.var(0))}
    mean, variance = blend(prior, batch, 0.75)["norm"]
    both = np.concatenate([old, new])
    np.testing.assert_allclose(mean, both.mean(0))
    np.testing.assert_allclose(variance, both.var(0))


def test_where_the_prior_knows_nothing_the_batch_stands_alone() -> None:
    prior = {"norm": Moments(np.array([1.0, np.nan]), np.array([1.0, 2.0]))}
    mean, variance = blend(prior, {"norm": (np.array([3.0, 4.0]), np.array([5.0, 6.0]))}, 1.0)["norm"]
    assert mean.tolist() == [1.0, 4.0]
    assert variance.tolist() == [1.0, 6.0]


@pytest.mark.parametrize(("samples", "share"), [(24, LIGHT), (96, LIGHT)])
def test_a_lag_is_mended_with_the_stored_statistics_as_a_prior(samples: int, share: float) -> None:
    s = specimens.lagging()
    report = analyzers.diagnose(s.model, s.x[:samples], s.y[:samples], batch_size=min(32, samples))
    fix = report.remedies[0]
    assert fix.code == "recalibrate_bn_statistics"
    assert fix.verification.status == "verified"
    rivals = {r.variant: r for r in fix.verification.rivals}
    assert NOTHING in rivals
    assert rivals[NOTHING].mean == pytest.approx(fix.verification.before["loss"])
    assert any("alone" in name for name in rivals) or "alone" in fix.verification.method
    assert f"{share:.0%}" in fix.verification.method or f"{EQUAL:.0%}" in fix.verification.method


def tried(model: object, x: np.ndarray, y: np.ndarray) -> Tried:
    """New statistics for a model that needs none."""
    batch = fit_batch(raw_from_arrays(x, y, None), *specs(model, raw_from_arrays(x, y, None)))
    evaluator = Evaluator(Compiled("sparse_categorical_crossentropy", ["accuracy"]), batch.output_names, batch.y, None)
    with Observer(KerasSubject(model), batch, 16, 0) as observer:
        training = observer.run(Setting(training=True), keep_changes=True)
        observer.learn_mutable()
        observer.state.restore(observer.mutable)
        fitted = calibrated(observer, training, as_trained=False)
        assert fitted is not None
        return try_statistics(Trial(observer, evaluator, observer.run(Setting()), training), fitted, None)


def test_doing_nothing_wins_over_statistics_that_do_not_help() -> None:
    """A healthy model's statistics are better than any that sixteen samples give."""
    s = specimens.healthy()
    for start in range(0, 96, 16):
        rows = slice(start, start + 16)
        found = tried(s.model, s.x[rows], s.y[rows])
        before, after = found.verification.before["loss"], found.verification.after["loss"]
        assert before is not None
        assert after is not None
        assert found.offered == (after < before)
        assert found.verification.status != "verified"
