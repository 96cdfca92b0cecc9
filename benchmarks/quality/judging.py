"""A report held against what a right answer accepts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import keras

from analyzers.report import Report
from benchmarks.quality.store import Stored, arrays
from benchmarks.quality.traced import traced_outputs
from benchmarks.quality.training import figures, outputs

WORSE_SCORE, WORSE_LOSS = 0.02, 1.05
"""A repaired model does harm where it is worse on the hold-out by this much accuracy, or by this factor in the loss
while accuracy does not rise as much."""

NEGLIGIBLE_LOSS = 1e-3


@dataclass
class Judgement:
    """Marks by name (true is right; absent where they do not apply), and figures."""

    outcome: str
    marks: dict[str, bool] = field(default_factory=dict)
    false_alarm: bool = False
    harm: bool = False
    recovered: float | None = None
    forbidden: list[str] = field(default_factory=list)
    unsafe: list[str] = field(default_factory=list)


def judge(stored: Stored, report: Report, repaired: Path) -> Judgement:
    """All marks of one report; the outcome is "right", "unseen" (rightly not seen) or "wrong"."""
    expect = stored.expect
    primary, loud = report.primary_cause, [c.code for c in report.causes if c.severity != "info"]
    forbidden = sorted({c for c in (*loud, primary) if c in expect.forbidden_causes})
    made = Judgement(_outcome(stored, report, bool(forbidden)), forbidden=forbidden)
    made.marks = {
        "verdict": report.verdict in expect.verdicts,
        "cause": primary in expect.causes,
        "quiet": not forbidden,
        "fix": report.recommended_fix in expect.fixes,
        "shares": _shares_add_up(report),
    }
    if expect.layers:
        named = [path for c in report.causes if c.code in expect.causes for path in c.layers]
        made.marks["layers"] = all(_is_named(layer, named) for layer in expect.layers)
    if expect.loud:
        made.marks["loud"] = all(code in loud for code in expect.loud)
    if expect.mention:
        made.marks["mention"] = all(code in [c.code for c in report.causes] for code in expect.mention)
    made.false_alarm = expect.kind == "healthy" and (bool(loud) or report.verdict == "phase_gap")
    made.false_alarm |= expect.kind == "benign" and bool(forbidden)
    _judge_fixes(made, stored, report, repaired)
    return made


def _outcome(stored: Stored, report: Report, forbidden: bool) -> str:
    if report.primary_cause not in stored.expect.causes or forbidden:
        return "wrong"
    quiet = report.primary_cause in ("no_phase_gap", "numerical_noise", None)
    return "unseen" if quiet and stored.expect.kind == "fault" else "right"


def _is_named(layer: str, named: list[str]) -> bool:
    return any(path == one or path.endswith("/" + one) for one in layer.split("|") for path in named)


def _shares_add_up(report: Report) -> bool:
    shares = [float(layer.share_of_gap) for layer in report.layers]
    if not shares or all(abs(s) < 1e-12 for s in shares):
        return True
    parts = report.phases.difference.by_mechanism
    whole = parts.batch_statistics + parts.stochastic_layers + parts.augmentation + parts.other
    goals = [1.0] + ([parts.batch_statistics / whole, parts.batch_statistics] if whole > 0 else [])
    return any(abs(sum(shares) - goal) < 1e-6 for goal in goals)


def _judge_fixes(made: Judgement, stored: Stored, report: Report, repaired: Path) -> None:
    expect, recommended = stored.expect, report.recommended_fix
    verified = [r.code for r in report.remedies if r.verification.status == "verified"]
    made.unsafe = sorted({c for c in (*verified, recommended) if c is not None and c in expect.forbidden_fixes})
    made.marks["safe"] = not made.unsafe
    offered = [r for r in report.remedies if r.repaired_model]
    backed = [r for r in offered if r.code == recommended or r.verification.status == "verified"]
    given = any(r.code == recommended for r in offered) and repaired.exists()
    if expect.repaired == "forbidden":
        made.marks["repaired"] = not backed
    elif expect.repaired == "required":
        made.marks["repaired"] = given
    if given:
        _judge_repair(made, stored, repaired)


def _judge_repair(made: Judgement, stored: Stored, repaired: Path) -> None:
    """Harm and recovery, on the hold-out."""
    x, y = (arrays(stored.folder / "holdout.npz", name) for name in ("x", "y"))
    if repaired.suffix == ".zip":
        predicted = traced_outputs(repaired, x)
    else:
        predicted = outputs(keras.models.load_model(repaired, compile=False), x)
    loss, score = figures(predicted, y, stored.head)
    loss_before, score_before = stored.holdout
    gain = score - score_before
    worse = loss > WORSE_LOSS * loss_before + NEGLIGIBLE_LOSS
    made.harm = worse if stored.head == "real" else gain < -WORSE_SCORE or (worse and gain < WORSE_SCORE)
    if made.harm or stored.oracle is None:
        made.recovered = 0.0 if made.harm else None
        return
    best_loss, best_score = stored.oracle
    if stored.head != "real" and best_score - score_before > WORSE_SCORE:
        made.recovered = gain / (best_score - score_before)
    elif loss_before - best_loss > (WORSE_LOSS - 1) * loss_before and math.isfinite(loss_before):
        made.recovered = (loss_before - loss) / (loss_before - best_loss)
