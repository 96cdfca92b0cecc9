"""What is promised of every diagnosis, held against a report or a refusal. Nothing here runs a model."""

from __future__ import annotations

import math
import re

from analyzers.errors import AnalysisError
from analyzers.report import Check, Report
from benchmarks.zoo.exhibit import Prepared, Refusal

OF_CHANCE = frozenset({"stochastic_layers_expected", "stochastic_at_inference"})
"""Causes that only a model with random layers can have."""

FOR_LABELS_TO_DECIDE = frozenset({"bn_statistics_stale"})
"""Causes that nobody can be sure of without labels."""

FIGURE = re.compile(r"at most ([0-9.e+-]+|nan|inf)")


def of_report(report: Report, prepared: Prepared) -> list[str]:
    """Every promise that the report breaks, in words."""
    if prepared.refusal is not None:
        return [f"a report where `{prepared.refusal.code}` was expected"]
    return [
        *_of_checks(report, prepared.replay_tolerance),
        *_of_layers(report, prepared),
        *_of_causes(report, prepared),
    ]


def of_refusal(error: AnalysisError, expected: Refusal | None) -> list[str]:
    """Every promise that a refusal breaks, in words."""
    if expected is None:
        return [f"refused as `{error.code}`"]
    wrong = [] if error.code == expected.code else [f"refused as `{error.code}`, not `{expected.code}`"]
    missing = [name for name in expected.says if name not in str(error)]
    if expected.some and not any(name in str(error) for name in expected.some):
        missing.append(f"any of {', '.join(expected.some)}")
    besides = [name for name in expected.silent if name in str(error)]
    return [
        *wrong,
        *([f"the message does not name {', '.join(missing)}"] if missing else []),
        *([f"the message names {', '.join(besides)} too"] if besides else []),
    ]


def check(report: Report, name: str) -> Check | None:
    """A check of the report by its name."""
    return next((c for c in report.checks if c.name == name), None)


def replay(report: Report) -> float | None:
    """How far replayed statistics are from the pass that they were recorded in; None where there is nothing to."""
    found = check(report, "replay_identity")
    figure = FIGURE.search(found.detail) if found is not None else None
    return float(figure.group(1)) if figure else None


def _of_checks(report: Report, tolerance: float) -> list[str]:
    found, unchanged = check(report, "replay_identity"), check(report, "model_unchanged")
    broken = []
    figure = replay(report)
    if found is None or found.passed is False or (figure is not None and not figure <= tolerance):
        broken.append(f"replay identity: {found.detail if found else 'no such check'}")
    if report.layers and found is not None and found.passed is None:
        broken.append("layers that normalize by the batch, and none was replayed")
    if unchanged is None or unchanged.passed is not True:
        broken.append(f"model unchanged: {unchanged.detail if unchanged else 'no such check'}")
    return broken


def _of_layers(report: Report, prepared: Prepared) -> list[str]:
    if prepared.normalizing is None or len(report.layers) == prepared.normalizing:
        return []
    return [f"{len(report.layers)} batch-normalizing layers found, there are {prepared.normalizing}"]


def _of_causes(report: Report, prepared: Prepared) -> list[str]:
    if prepared.plausible is None:
        return []
    loud = [c for c in report.causes if c.severity != "info" and c.code not in prepared.plausible]
    if report.batch.labels is None:
        loud += [c for c in report.causes if c.code in FOR_LABELS_TO_DECIDE and c.severity == "critical"]
    broken = [f"false claim `{c.code}` ({c.severity}, {c.confidence:.2f})" for c in loud]
    if report.verdict == "phase_gap" and not prepared.plausible and not prepared.draws:
        broken.append("a phase gap where there is none")
    if prepared.draws is False and any(c.code in OF_CHANCE for c in report.causes):
        broken.append("random layers where there are none")
    if not math.isfinite(report.phases.inference.loss or 0.0):
        broken.append("the loss of the inference phase is not finite")
    return broken
