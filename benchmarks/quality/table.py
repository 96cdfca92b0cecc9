"""What a run prints: by mechanism, then every bar with its target, then what was missed and why."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass

from analyzers.report import Report
from benchmarks.quality.judging import Judgement
from benchmarks.quality.store import Stored

TARGETS = {
    "verdict": 0.98, "cause": 0.95, "quiet": 0.98, "layers": 0.95, "fix": 0.95, "safe": 1.0, "loud": 0.95,
    "mention": 0.95, "repaired": 0.95, "shares": 1.0,
}  # fmt: skip
TITLES = {
    "verdict": "verdict right",
    "cause": "primary cause right",
    "quiet": "nothing forbidden said",
    "layers": "layers named",
    "fix": "recommended fix right",
    "safe": "no forbidden fix",
    "loud": "two faults, both said",
    "mention": "side findings mentioned",
    "repaired": "repaired model as expected",
    "shares": "shares add up",
}
MACRO_TARGET, RECOVERED_TARGET = 0.95, 0.98


@dataclass
class Row:
    """One specimen diagnosed. `error` stands where there is no report."""

    mechanism: str
    name: str
    cause: str
    kind: str
    seconds: float
    judgement: Judgement
    line: str = ""
    error: str = ""


def row(stored: Stored, judgement: Judgement, report: Report, seconds: float) -> Row:
    """A row with the line that explains a miss."""
    expect, order = stored.expect, stored.order
    cause = expect.causes[0] or "no_phase_gap"
    return Row(order.mechanism, order.name, cause, expect.kind, seconds, judgement, _line(stored, judgement, report))


def failed(name: str, mechanism: str, stored: Stored | None, error: Exception, seconds: float) -> Row:
    """A row for a specimen that could not be diagnosed: every mark is missed."""
    marks = dict.fromkeys(("verdict", "cause", "quiet", "fix", "safe", "shares"), False)
    kind, cause = (stored.expect.kind, stored.expect.causes[0]) if stored else ("fault", "not made")
    made = Judgement("wrong", marks, false_alarm=kind != "fault")
    told = f"{type(error).__name__}: {str(error)[:300]}"
    return Row(mechanism, name, cause or "no_phase_gap", kind, seconds, made, error=told)


def _line(stored: Stored, made: Judgement, report: Report) -> str:
    gap, phases = report.phases.difference, report.phases
    missed = [name for name, right in made.marks.items() if not right] + (["HARM"] if made.harm else [])
    causes = ", ".join(
        f"{c.code} {c.confidence:.2f}{c.layers[:3] if c.layers and 'layers' in missed else ''}"
        for c in report.causes
        if c.severity != "info" or c.code == report.primary_cause
    )
    top = sorted(report.layers, key=lambda layer: -layer.divergence.kl)[:4]
    layers = ", ".join(
        f"{x.path} kl {x.divergence.kl:.3g}/{x.noise_floor:.2g} m {x.divergence.mean_shift_sd:.2f} "
        f"r {x.divergence.variance_ratio:.2g} {x.status} share {x.share_of_gap:.2f}"
        for x in top
    )
    expect = stored.expect
    facts = ", ".join(f"{name} {v:.3g}" for name, v in stored.facts.items())
    said = f"forbidden {made.forbidden} " if made.forbidden else ""
    said += f"unsafe {made.unsafe} " if made.unsafe else ""
    recovered = "" if made.recovered is None else f" recovered {made.recovered:.2f}"
    return (
        f"{stored.order.name} [{stored.head}, n {report.batch.samples}, batch {phases.batch_size}] missed {missed}\n"
        f"      wanted {list(expect.causes)} {list(expect.fixes)}{'' if expect.visible else ' (soft)'}; "
        f"got {report.verdict} / {report.primary_cause} / {report.recommended_fix} {said}{recovered}\n"
        f"      causes: {causes}\n"
        f"      loss {_n(phases.inference.loss)} inference, {_n(phases.training.loss)} training; metrics "
        f"{_all(phases.inference.metrics)} | {_all(phases.training.metrics)}; rms {gap.relative_output_rms:.3f} "
        f"floor {gap.noise_floor:.3f} systematic {gap.systematic_output_rms:.3f} significant {gap.significant}\n"
        f"      hold-out: {facts}\n      layers: {layers}"
    )


def _n(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _all(metrics: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in metrics.items())


def missed(one: Row) -> bool:
    """Whether the row is worth a look."""
    return bool(one.error) or one.judgement.harm or one.judgement.false_alarm or not all(one.judgement.marks.values())


def table(rows: list[Row]) -> str:
    """By mechanism, and the bars below."""
    lines = [f"{'mechanism':24} right unseen  wrong"]
    for name in dict.fromkeys(r.mechanism for r in rows):
        counts = [sum(r.mechanism == name and r.judgement.outcome == o for r in rows) for o in OUTCOMES]
        lines.append(f"{name:24} {counts[0]:5} {counts[1]:6} {counts[2] or '':>6}")
    return "\n".join([*lines, "", *_bars(rows)])


OUTCOMES = ("right", "unseen", "wrong")


def macro_average(rows: list[Row]) -> float:
    """Share of right primary causes, averaged over causes so that each counts the same."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for one in rows:
        groups[one.cause].append(one.judgement.marks.get("cause", False))
    return statistics.mean(sum(g) / len(g) for g in groups.values()) if groups else 0.0


def _bars(rows: list[Row]) -> list[str]:
    lines = [f"{len(rows)} specimens, {sum(bool(r.error) for r in rows)} errors"]
    for name, target in TARGETS.items():
        marks = [r.judgement.marks[name] for r in rows if name in r.judgement.marks]
        if marks:
            lines.append(_bar(TITLES[name], sum(marks) / len(marks), target, f"of {len(marks)}"))
    lines.append(_bar("macro average over causes", macro_average(rows), MACRO_TARGET))
    for kind in ("healthy", "benign"):
        alarms = [r.judgement.false_alarm for r in rows if r.kind == kind]
        lines.append(f"  {'false alarms on ' + kind:30} {sum(alarms):6}   target 0, of {len(alarms)}")
    lines.append(f"  {'harm by repaired models':30} {sum(r.judgement.harm for r in rows):6}   target 0")
    recovered = [r.judgement.recovered for r in rows if r.judgement.recovered is not None]
    if recovered:
        lines.append(_bar("recovered, median", statistics.median(recovered), RECOVERED_TARGET, f"of {len(recovered)}"))
    seconds = sorted(r.seconds for r in rows)
    if seconds:
        lines.append(f"  {'seconds: median, longest':30} {statistics.median(seconds):6.1f} {seconds[-1]:6.1f}")
    return lines


def _bar(title: str, value: float, target: float, of: str = "") -> str:
    mark = "" if value >= target else "MISSED"
    return f"  {title:30} {100 * value:6.1f} % target {100 * target:.0f} % {mark:6} {of}".rstrip()
