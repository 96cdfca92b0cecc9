"""When something is said and when not, on figures alone; that looking keeps to its budget, by a clock of our own."""

from __future__ import annotations

import pytest

from phasegap.training import pacing
from phasegap.training.drift import LayerDrift
from phasegap.training.judging import Judge, Layer, Moment, updates_needed

FRESH, OLD = Layer("fresh", 0.99, True), Layer("old", 0.99, False)


def drift(gap: float, *, significant: bool = True, noise: float = 0.1) -> LayerDrift:
    return LayerDrift(gap, 0.1, significant, noise)


def verdicts(layer: Layer, course: list[LayerDrift], steps: int, epochs: int, **figures: float) -> list[str | None]:
    judge = Judge([layer])
    found = []
    for epoch, each in enumerate(course):
        updates = steps * (epoch + 1)
        moment = Moment(epoch, updates, updates - 0.5, steps * epochs, epoch + 1 == epochs, **figures)
        advice = judge.judge([each], moment)
        found.append(advice.kind if advice else None)
    return found


def test_459_updates_at_the_usual_momentum() -> None:
    assert updates_needed(0.99) == 459


def test_a_start_that_will_be_left_is_no_fault() -> None:
    assert verdicts(FRESH, [drift(2.5), drift(1.5), drift(0.9)], 50, 20) == [None] * 3


def test_a_start_that_will_not_be_left_is_told_at_once_and_at_the_end() -> None:
    assert verdicts(FRESH, [drift(2.5), drift(2.4), drift(2.3)], 5, 3) == ["too_few_updates", None, "too_few_updates"]


def test_chance_is_no_fault() -> None:
    assert verdicts(OLD, [drift(3.0, significant=False)] * 4, 100, 4) == [None] * 4


def test_inference_that_does_as_well_is_no_fault() -> None:
    course = [drift(2.0)] * 4
    assert verdicts(OLD, course, 100, 4, loss=0.5, val_loss=0.4) == [None] * 4
    assert verdicts(OLD, course, 100, 4, loss=0.5, val_loss=2.0) == [None, None, "not_following", "not_following"]


def test_a_gap_that_is_on_its_way_out_is_no_fault() -> None:
    assert verdicts(OLD, [drift(4.0), drift(2.5), drift(1.5), drift(0.8)], 100, 4) == [None] * 4


def test_noise_is_told_once_it_lasts() -> None:
    noisy = [drift(0.0, significant=False, noise=1.0)] * 4
    assert verdicts(OLD, noisy, 100, 9) == [None, None, "noisy_batches", None]
    once = [drift(0.0, noise=1.0), *[drift(0.0)] * 3]
    assert verdicts(OLD, once, 100, 4) == [None] * 4


def test_looking_keeps_to_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look takes 30 ms, a step 10 ms: at 2 % that is one look in 150 steps."""
    now_s = [0.0]
    monkeypatch.setattr(pacing.time, "perf_counter", lambda: now_s[0])
    pace, looks = pacing.Pace(0.02), 0
    with pace.counted("look"):
        now_s[0] += 0.03
    for _ in range(10_000):
        now_s[0] += 0.01
        if pace.looks() >= 1:
            looks += 1
            with pace.counted("look"):
                now_s[0] += 0.03
            assert pace.cost <= 0.0201
    assert 55 <= looks <= 67
