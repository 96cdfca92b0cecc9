"""A report without content, for guests that diagnose nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from analyzers import report as r


def a_report(diagnosis_id: str, headline: str = "All is well.", repaired: bool = False) -> r.Report:
    nothing = r.PhaseFigures(loss=None)
    difference = r.Difference(
        relative_output_rms=0.0,
        prediction_agreement=None,
        noise_floor=float("nan"),
        significant=False,
        by_mechanism=r.Mechanisms(),
    )
    proof = r.Verification(status="not_tested", method="none", samples=0)
    remedy = r.RemedyFinding(code="x", title="x", explanation="x", verification=proof, repaired_model=repaired)
    return r.Report(
        id=diagnosis_id,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        verdict="no_phase_gap",
        severity="info",
        headline=headline,
        primary_cause=None,
        causes=[],
        recommended_fix=None,
        remedies=[remedy],
        phases=r.Phases(batch_size=1, inference=nothing, training=nothing, difference=difference),
        layers=[],
        model=r.ModelFacts(
            name="m", format="keras", keras_version=None, parameters=0, layers=0,
            batch_normalizing_layers=0, optimizer_iterations=None, compiled=False,
        ),
        batch=r.BatchFacts(samples=1, inputs=[], labels=None),
        checks=[],
        timing_s=r.Timing(),
        environment=r.Environment(device="cpu", tensorflow="0", keras="0", python="0"),
    )  # fmt: skip
