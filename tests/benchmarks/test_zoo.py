"""The zoo in small: promises are held against reports, a dead process costs one row, one model goes all the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analyzers.errors import ModelNeedsCustomCode, ModelUnsafe
from analyzers.report import BatchFacts, CauseFinding, Check, Difference, PhaseFigures, Phases, Report
from benchmarks.zoo import applications, data, keeper, layers, promises, table
from benchmarks.zoo.exhibit import Exhibit, Prepared, Refusal, Row


def test_every_family_and_class_is_found() -> None:
    families = {e.family for e in applications.exhibits(False)}
    assert {"resnet", "densenet", "efficientnet", "nasnet", "convnext", "vgg16"} <= families
    names = [e.name for e in layers.exhibits(False)]
    assert {"Dense", "BatchNormalization", "RandomFlip", "MultiHeadAttention"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("error", "expected", "broken"),
    [
        (ModelNeedsCustomCode("uses `A`"), None, ["refused as `model_needs_custom_code`"]),
        (ModelNeedsCustomCode("uses `A`"), Refusal("model_needs_custom_code", ("`A`",)), []),
        (
            ModelNeedsCustomCode("uses `A`"),
            Refusal("model_needs_custom_code", ("`A`", "`B`")),
            ["the message does not name `B`"],
        ),
        (
            ModelUnsafe("`a` and `b`"),
            Refusal("model_unsafe", ("`a`",), silent=("`b`", "`c`")),
            ["the message names `b` too"],
        ),
        (ModelUnsafe("no"), Refusal("model_unreadable"), ["refused as `model_unsafe`, not `model_unreadable`"]),
    ],
)
def test_refusals_are_held_against_what_was_expected(error: Any, expected: Any, broken: list[str]) -> None:
    assert promises.of_refusal(error, expected) == broken


def _report(**changes: Any) -> Report:
    """A report of a sound model, made of what the promises look at."""
    checks = [
        Check(name="replay_identity", passed=True, detail="changes the output by at most 3e-08"),
        Check(name="model_unchanged", passed=True, detail="all is as it was"),
    ]
    figures = PhaseFigures(loss=0.5)
    difference = Difference.model_construct(significant=False)
    phases = Phases.model_construct(batch_size=8, inference=figures, training=figures, difference=difference)
    batch = BatchFacts(samples=8, inputs=[], labels={"dtype": "int64"})
    facts: dict[str, Any] = {"verdict": "no_phase_gap", "causes": [], "layers": [], "checks": checks}
    return Report.model_construct(**{**facts, "phases": phases, "batch": batch, **changes})


def _failed(name: str) -> list[Check]:
    return [c.model_copy(update={"passed": False}) if c.name == name else c for c in _report().checks]


CLAIM = CauseFinding(code="bn_statistics_stale", confidence=0.8, severity="critical", explanation="")
UNLABELLED = BatchFacts(samples=8, inputs=[], labels=None)
CHANCE = CLAIM.model_copy(update={"code": "stochastic_layers_expected", "severity": "info"})


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, ""),
        ({"checks": _failed("replay_identity")}, "replay identity"),
        ({"checks": _failed("model_unchanged")}, "model unchanged"),
        ({"checks": []}, "no such check"),
        ({"causes": [CLAIM]}, "false claim `bn_statistics_stale`"),
        ({"causes": [CHANCE]}, "random layers where there are none"),
        ({"verdict": "phase_gap"}, "a phase gap where there is none"),
        ({"layers": [None]}, "1 batch-normalizing layers found, there are 0"),
    ],
)
def test_reports_are_held_against_the_promises(changes: dict[str, Any], broken: str) -> None:
    prepared = Prepared(Path("m"), Path("b"), normalizing=0, draws=False)
    found = promises.of_report(_report(**changes), prepared)
    assert broken in "; ".join(found) if broken else found == []


@pytest.mark.parametrize(("severity", "broken"), [("critical", 1), ("warning", 0)])
def test_nobody_is_sure_of_stale_statistics_without_labels(severity: str, broken: int) -> None:
    claim = CLAIM.model_copy(update={"severity": severity})
    prepared = Prepared(Path("m"), Path("b"), plausible=frozenset({"bn_statistics_stale"}))
    assert len(promises.of_report(_report(causes=[claim], batch=UNLABELLED), prepared)) == broken


@pytest.fixture
def shown() -> Exhibit:
    return Exhibit("layers", "Dense", "0", 60.0)


def _row(**changes: Any) -> Row:
    facts: dict[str, Any] = {"part": "layers", "name": "Dense", "version": "3", "family": "", "outcome": "report"}
    return Row(**{**facts, "seconds": 1.0, "verdict": "no_phase_gap", **changes})


def test_the_table_shows_what_is_broken() -> None:
    rows = [
        _row(replay=3e-8, layers=4, normalizing=2),
        _row(name="Odd", outcome="crash", said="it fell", broken=["crash"]),
    ]
    text = table.part("layers", rows)
    assert "| Dense | 3 |  |  | 4 / 2 | no_phase_gap |  | 3.0e-08 | 1.0 |" in text
    assert "- **Odd**: it fell" in text
    assert "1 diagnosed, 1 crashed; 1 with a broken promise" in text


def test_samples_are_of_their_kind() -> None:
    assert data.bases(4, 50, 0).max() <= 3
    assert data.faces(2, 64, 0).shape == (2, 64, 64, 1)
    audio = data.sound(2, 4000, 22050, 0)
    assert np.abs(audio).max() <= 1.0
    assert audio.std() > 0.001
    x, y = data.pictures(8, 16, 0)
    assert x.min() >= 0
    assert x.max() <= 255
    assert sorted(set(y)) == [0, 1, 2]


@pytest.mark.slow
def test_a_layer_goes_all_the_way(shown: Exhibit) -> None:
    row = keeper.kept(shown)
    assert (row.outcome, row.verdict, row.normalizing, row.broken) == ("report", "no_phase_gap", 2, [])
    assert row.replay is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "said"), [({"limit_seconds": 0.1}, "not done in"), ({"name": "NoSuchLayer"}, "KeyError")]
)
def test_a_failure_costs_one_row(changes: dict[str, Any], said: str, shown: Exhibit) -> None:
    row = keeper.kept(replace(shown, **changes))
    assert (row.outcome, row.broken) == ("crash", ["crash"])
    assert said in row.said
