"""The calibration in small: a healthy network is left in peace, a lagging one is not, and the counting is exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks import calibration, ledger, power, simulation
from benchmarks.calibration import interval, table
from benchmarks.judging import Outcome, diagnosed, judged, population_divergence
from benchmarks.ledger import Ledger, Record, work
from benchmarks.simulation import Net, draw, normalizations, trained

NET = Net("dense", "gaussian", 3, 0.9, 0)
ROWS = 64


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setattr(simulation, "CACHE", tmp_path_factory.mktemp("nets"))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def healthy() -> Any:
    return trained(NET)


@pytest.fixture(scope="module")
def lagging() -> Any:
    model = trained(NET)
    power.lag(normalizations(model), 0.6, np.random.default_rng(0))
    return model


def test_the_network_is_healthy(healthy: Any) -> None:
    """No layer is further from its population than a few windows of 32 rows explain, 0.002 nats and their scatter."""
    x, y = draw(NET, 4096, "population")
    assert max(population_divergence(healthy, x).values()) < 0.01
    assert np.mean(np.asarray(healthy(x)).argmax(axis=1) == y) > 0.8


def test_a_healthy_network_raises_no_alarm(healthy: Any) -> None:
    outcomes = [o for i in range(5) for o in judged(healthy, *draw(NET, ROWS, "smoke", i), seed=i)]
    assert [(o.verdict, o.alarms) for o in outcomes if o.false] == []


def test_a_lagging_network_always_does(lagging: Any) -> None:
    outcomes = [o for i in range(3) for o in judged(lagging, *draw(NET, ROWS, "smoke", i), seed=i)]
    assert {(o.verdict, o.primary) for o in outcomes} == {("phase_gap", "bn_statistics_unconverged")}


@pytest.mark.parametrize("kind", ["healthy", "lagging"])
def test_the_shorter_way_ends_where_the_whole_diagnosis_ends(kind: str, request: pytest.FixtureRequest) -> None:
    """Passes that are remembered, and remedies left out, change nothing that is counted."""
    model, (x, y) = request.getfixturevalue(kind), draw(NET, ROWS, "both")
    for short, whole in zip(judged(model, x, y, seed=3), diagnosed(model, x, y, seed=3), strict=True):
        assert _counted(short) == _counted(whole)
        assert short.systematic == pytest.approx(whole.systematic, rel=1e-6)


def _counted(outcome: Outcome) -> tuple[Any, ...]:
    return outcome.verdict, outcome.primary, outcome.alarms, [layer.significant for layer in outcome.layers]


@pytest.mark.parametrize(("hits", "of"), [(0, 300), (1, 300), (7, 40), (40, 40)])
def test_the_interval_is_exact(hits: int, of: int) -> None:
    exact = stats.binomtest(hits, of).proportion_ci(method="exact")
    assert interval(hits, of) == pytest.approx((exact.low, exact.high), abs=1e-9)


def record(rows: int, false: bool) -> Record:
    """One diagnosis as it is counted."""
    layer = {"path": "norm_0", "kl": 0.1, "noise_floor": 0.2, "significant": false}
    return {"group": "conv-heavy", "rows": rows, "labelled": True, "verdict": "phase_gap" if false else "no_phase_gap",
            "false": false, "layers": [layer]}  # fmt: skip


@pytest.mark.parametrize(("rows", "false", "complained"), [(32, 10, True), (32, 3, False), (16, 100, False)])
def test_only_shares_above_one_per_cent_for_certain_fail(rows: int, false: int, complained: bool) -> None:
    _, above = table([record(rows, i < false) for i in range(200)])
    assert bool(above) == complained


@dataclass(frozen=True)
class Piece:
    """A piece of work."""

    index: int

    @property
    def key(self) -> str:
        return str(self.index)


def test_what_was_diagnosed_is_not_diagnosed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "CACHE", tmp_path)
    made: list[int] = []

    def make(piece: Piece) -> list[Record]:
        made.append(piece.index)
        return [{"index": piece.index}]

    work(Ledger("test"), [Piece(0), Piece(1)], make, 60.0, 1)
    known = work(Ledger("test"), [Piece(1), Piece(2)], make, 60.0, 1)
    assert made == [0, 1, 2]
    assert known == {"0": [{"index": 0}], "1": [{"index": 1}], "2": [{"index": 2}]}
    work(Ledger("test"), [Piece(3)], make, -1.0, 1)
    assert made == [0, 1, 2]  # the time was up


def test_a_cell_takes_its_networks_in_turn() -> None:
    found = list(calibration.tasks(["conv-gaussian"], [32], 6, seed=0))
    assert {t.net for t in found} == set(calibration.GROUPS["conv-gaussian"])
    assert len({t.key for t in found}) == len(found)
