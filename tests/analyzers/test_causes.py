"""The confusion matrix as a test: each specimen raises its own cause and no other, loudly."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import analyzers
from analyzers import causes, remedies
from analyzers.report import Report
from tests import ailments, specimens

# What may be said beside the cause, quietly or because it is the same fault seen from another side.
FIXES = {
    "no_phase_gap": "none_needed",
    "bn_statistics_unconverged": "recalibrate_bn_statistics",
    "bn_statistics_never_updated": "recalibrate_bn_statistics",
    "bn_corrupt_statistics": "reset_and_recalibrate",
    "weights_untrained": "restore_weights",
    "input_scaling_mismatch": "match_preprocessing",
    "stochastic_layers_expected": "none_needed",
    "bn_trained_in_inference_mode": "pass_training_flag",
    "bn_statistics_stale": "recalibrate_bn_statistics",
    "input_distribution_shift": "match_preprocessing",
    "bn_frozen_domain_shift": "recalibrate_bn_statistics",
    "bn_small_batch": "replace_with_instance_or_group_norm",
    "bn_batch_composition": "shuffle_batches",
    "bn_conversion_mismatch": "fix_conversion",
    "bn_per_timestep": "restructure_layer",
    "stateful_layers": "reset_states",
    "loss_includes_regularization": "none_needed",
    "epsilon_dominates": "none_needed",
    "label_mapping_mismatch": "fix_labels",
    "labels_misaligned": "fix_labels",
    "metric_mismatch": "fix_metric",
    "degenerate_output": "fix_head",
    "normalization_layer_not_adapted": "adapt_normalization",
    "input_channel_order_mismatch": "match_preprocessing",
    "bn_batch_statistics_at_inference": "pass_training_flag",
    "stochastic_at_inference": "pass_training_flag",
    "numerical_noise": "none_needed",
}
QUIET = {
    "no_phase_gap",
    "stochastic_layers_expected",
    "stateful_layers",
    "loss_includes_regularization",
    "epsilon_dominates",
    "numerical_noise",
}
AGREEING = QUIET - {"stochastic_layers_expected"} | {
    "label_mapping_mismatch",
    "labels_misaligned",
    "metric_mismatch",
    "degenerate_output",
    "normalization_layer_not_adapted",
    "input_channel_order_mismatch",
    "bn_batch_statistics_at_inference",
    "stochastic_at_inference",
}
"""Causes without a phase gap."""


@cache
def report_on(code: str) -> Report:
    s = ailments.BY_CAUSE[code]()
    return analyzers.diagnose(s.model, s.x, s.y, batch_size=s.batch_size)


def test_every_cause_has_a_specimen_and_every_specimen_a_cause() -> None:
    assert {c.code for c in causes.registered()} == set(ailments.BY_CAUSE)


@pytest.mark.parametrize("code", sorted(ailments.BY_CAUSE))
def test_specimen_raises_its_own_cause_and_no_other(code: str) -> None:
    report = report_on(code)
    loud = [c.code for c in report.causes if c.severity != "info"]
    if code in ("epsilon_dominates", "numerical_noise"):
        assert code in [c.code for c in report.causes]  # a side finding beside agreeing phases
    else:
        assert report.primary_cause == code
    assert loud == ([] if code in QUIET else [code])


@pytest.mark.parametrize("code", sorted(ailments.BY_CAUSE))
def test_specimen_gets_its_own_remedy(code: str) -> None:
    assert report_on(code).recommended_fix == FIXES[code]


@pytest.mark.parametrize("code", sorted(ailments.BY_CAUSE))
def test_verdict_and_checks(code: str) -> None:
    report = report_on(code)
    assert report.verdict == ("no_phase_gap" if code in AGREEING else "phase_gap")
    assert {c.name: c.passed for c in report.checks}["model_unchanged"] is True
    failed = [c.name for c in report.checks if c.passed is False]
    assert failed == (["inference_repeatable"] if code == "stochastic_at_inference" else [])


@pytest.mark.parametrize("code", sorted(ailments.BY_CAUSE))
def test_evidence_is_finite_or_said_to_be_not(code: str) -> None:
    for cause in report_on(code).causes:
        assert cause.explanation
        assert cause.evidence
        assert all(e.value is not None for e in cause.evidence)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 1e9])
def test_corrupt_values_of_every_kind(value: float) -> None:
    s = specimens.corrupt(value)
    report = analyzers.diagnose(s.model, s.x, s.y)
    assert report.primary_cause == "bn_corrupt_statistics"
    assert report.causes[0].layers == ["net/norm_1"]
    assert report.layers[1].status == "corrupt"
    Report.model_validate_json(report.model_dump_json())


@pytest.mark.parametrize("factor", [255.0, 1 / 255, 0.1])
def test_scale_is_named_with_its_factor(factor: float) -> None:
    s = specimens.healthy()
    report = analyzers.diagnose(s.model, s.x * np.float32(factor), s.y)
    assert report.primary_cause == "input_scaling_mismatch"
    found = next(e.value for e in report.causes[0].evidence if e.name == "factor_that_restores")
    assert found == pytest.approx(1 / factor, rel=0.05)
    assert not any(r.repaired_model for r in report.remedies)


def test_offset_is_undone_too() -> None:
    s = specimens.healthy()
    report = analyzers.diagnose(s.model, (s.x - np.float32(4.0)) / np.float32(2.0), s.y)
    assert report.primary_cause == "input_scaling_mismatch"
    evidence = {e.name: e.value for e in report.causes[0].evidence}
    assert evidence["factor_that_restores"] == pytest.approx(2.0, rel=0.05)
    assert evidence["offset_that_restores"] == pytest.approx(4.0, abs=0.4)


def test_lag_counts_the_updates_from_the_statistics_alone() -> None:
    s = specimens.lagging()
    uncompiled = specimens.keras.models.clone_model(s.model)
    uncompiled.set_weights(s.model.get_weights())
    report = analyzers.diagnose(uncompiled, s.x)
    assert not report.model.optimizer_iterations
    assert report.primary_cause == "bn_statistics_unconverged"
    assert np.median([x.effective_updates for x in report.layers]) == pytest.approx(96, rel=0.15)


def test_never_recommends_what_treats_nothing() -> None:
    codes = {c.code for c in causes.registered()}
    for remedy in remedies.registered():
        assert remedy.treats
        assert set(remedy.treats) <= codes


def test_causes_say_what_they_are_and_whence() -> None:
    for cause in causes.registered():
        assert cause.title
        assert cause.source
