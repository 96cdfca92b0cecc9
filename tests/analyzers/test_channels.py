"""Colour channels in the wrong order are found by trying the other; healthy or otherwise broken models are clear."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import analyzers
from analyzers.batches.spec import Batch
from analyzers.case import ChannelTrial, Paired
from analyzers.causes._shared import channels_explain
from analyzers.evaluation import Compiled, Evaluator
from analyzers.measuring import measure
from analyzers.observation import Observer
from analyzers.report import Report
from analyzers.subjects.keras_model import KerasSubject
from tests import ailments, specimens

CODE = "input_channel_order_mismatch"


@cache
def tinted() -> tuple[Any, np.ndarray, np.ndarray]:
    """Four classes by the place of a bar, which is reddish for some and bluish for others; reds are brighter."""
    rng = np.random.default_rng(12)
    y = rng.integers(0, 4, 512)
    x = rng.normal(0, 1.0, (512, 12, 12, 3)) * np.array([1.5, 1.0, 0.7]) + np.array([2.0, 1.0, 0.0])
    for i, label in enumerate(y):
        place, colour = divmod(int(label), 2)
        x[i, 6 * place + 1 : 6 * place + 5, :, 2 * colour] += 1.0
    model = specimens.network()
    model.fit(x.astype("float32"), y, batch_size=32, epochs=10, verbose=0)
    return model, x.astype("float32"), y


def loud(report: Report) -> list[str]:
    return [c.code for c in report.causes if c.severity != "info"]


@pytest.mark.parametrize("samples", [32, 128])
def test_reversed_channels_are_named(samples: int) -> None:
    model, x, y = tinted()
    swapped = x[:samples, ..., ::-1].copy()
    for labels in (y[:samples], None):
        report = analyzers.diagnose(model, swapped, labels)
        assert report.primary_cause == CODE
        assert report.recommended_fix == "match_preprocessing"
        assert not any(r.repaired_model for r in report.remedies)


@pytest.mark.parametrize("labelled", [True, False])
def test_the_right_order_is_left_alone(labelled: bool) -> None:
    model, x, y = tinted()
    assert loud(analyzers.diagnose(model, x[:96], y[:96] if labelled else None)) == []


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("code", ["input_scaling_mismatch", "input_distribution_shift", "bn_statistics_never_updated"])
def test_other_faults_of_colour_images_are_not_taken_for_it(code: str, labelled: bool) -> None:
    s = ailments.BY_CAUSE[code]()
    report = analyzers.diagnose(s.model, s.x, s.y if labelled else None, batch_size=s.batch_size)
    assert CODE not in [c.code for c in report.causes]


@pytest.mark.parametrize(("trained", "explains"), [(5.0, True), (0.6, False)])
def test_the_order_is_not_wrong_where_the_training_phase_does_better_with_it(trained: float, explains: bool) -> None:
    model, x, y = tinted()
    batch = Batch([x[:32]], [y[:32]], None, ["x"], ["y"])
    evaluator = Evaluator(Compiled("sparse_categorical_crossentropy", ["accuracy"]), ["y"], batch.y, None)
    with Observer(KerasSubject(model), batch, 32, seed=0) as observer:
        case = measure(observer, evaluator, None, lambda fraction: None).case
    restored = Paired(before=5.4, after=0.9, mean=4.5, standard_error=0.5)
    case = replace(
        case,
        reversed_channels=ChannelTrial(restored, accuracy=0.8, accuracy_z=9.0, confidence=0.8),
        training=case.training.model_copy(update={"data_loss": trained}),
    )
    assert channels_explain(case) is explains
