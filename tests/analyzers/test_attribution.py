"""Shares of the gap against full replacement, one layer at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from analyzers import attribution
from analyzers.batches.spec import Batch
from analyzers.observation import Observer
from analyzers.phase import flatten
from analyzers.subjects.keras_model import KerasSubject
from analyzers.switchboard import Setting
from tests import specimens


def test_shares_are_those_of_full_telescoping_replacement() -> None:
    s = specimens.lagging()
    batch = Batch([s.x[:64]], None, None, ["x"], ["y"])
    with Observer(KerasSubject(s.model), batch, 32, seed=0) as observer:
        inference, training = observer.run(Setting()), observer.run(Setting(training=True, record=True))
        order = list(training.seen)
        found = attribution.attribute(observer, inference, training, dict.fromkeys(order, 1.0))
        base, whole = flatten(inference.outputs), flatten(training.outputs) - flatten(inference.outputs)
        worth = [0.0]
        for count in range(1, len(order) + 1):
            outputs = []
            for window in range(2):
                rows = np.arange(32 * window, 32 * window + 32)
                chosen = {p: c for p, c in training.constants(window).items() if p in order[:count]}
                outputs.append(observer.run(Setting(constants=chosen), rows=rows).outputs[0])
            worth.append(float(np.sum((np.concatenate(outputs) - base) * whole) / np.sum(whole**2)))
    np.testing.assert_allclose(list(found.shares.values()), np.diff(worth), atol=1e-9)
    assert sum(found.shares.values()) == pytest.approx(1.0, abs=1e-9)
    assert found.unresolved < attribution.RESOLUTION * len(order)


def test_no_gap_no_shares() -> None:
    s = specimens.healthy()
    with Observer(KerasSubject(s.model), Batch([s.x], None, None, ["x"], ["y"]), 32, seed=0) as observer:
        inference = observer.run(Setting(record=True))
        shares = attribution.attribute(observer, inference, inference, dict.fromkeys(inference.seen, 1.0)).shares
    assert set(shares.values()) == {0.0}


class Bill:
    """What passes cost, where each costs the same, and what they give for given shares."""

    def __init__(self, true: np.ndarray, price: float) -> None:
        self.true, self.price, self.spent = true, price, 0.0

    def cost(self, count: int) -> float:
        return self.price

    def worth(self, counts: Sequence[int]) -> dict[int, float]:
        self.spent += self.price * len(counts)
        return {count: float(self.true[:count].sum()) for count in counts}

    def shares(self) -> tuple[dict[str, float], float]:
        order = [f"n{i}" for i in range(len(self.true))]
        return attribution._bisect(order, dict.fromkeys(order, 1.0), self.worth, self)


def test_many_layers_cost_few_passes() -> None:
    """A hundred layers of which three carry the gap: only their groups are opened."""
    true = np.zeros(100)
    true[[3, 50, 97]] = 0.2, 0.5, 0.3
    bill = Bill(true, 1.0)
    shares, unresolved = bill.shares()
    np.testing.assert_allclose(list(shares.values()), true, atol=1e-9)
    assert bill.spent <= attribution.PASSES
    assert unresolved == pytest.approx(0.0, abs=1e-12)


def test_the_largest_groups_are_opened_first() -> None:
    """Where passes are short, the layer that carries most is found, and the rest is shared out and said."""
    true = np.full(64, 0.5 / 63)
    true[40] = 0.5
    bill = Bill(true, 3.0)
    shares, unresolved = bill.shares()
    assert bill.spent <= attribution.PASSES
    assert sum(shares.values()) == pytest.approx(1.0)
    assert max(shares, key=lambda name: shares[name]) in {"n40", "n41"}
    assert unresolved > 0.3
