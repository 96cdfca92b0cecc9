"""The report written down: every measured number in its place, in the vocabulary of `analyzers.report`."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from analyzers.case import Case, Finding, LayerCase
from analyzers.causes import Cause, contest
from analyzers.causes._corruption import corrupt_channels
from analyzers.causes._lag import lags
from analyzers.facts import environment
from analyzers.measuring import Measured
from analyzers.phase import SIGNIFICANT_RATIO
from analyzers.prescribing import Prescription
from analyzers.report import BatchFacts, CauseFinding, Difference, Mechanisms, ModelFacts, Phases, Report, Timing
from analyzers.report_layers import ChannelDivergence, Divergence, Explanation, LayerFinding, LayerStatus
from analyzers.verdict import Judgement, headline, samples_to_settle

WORST_CHANNELS = 5  # Enough to see what kind of channel diverges; all of them would dwarf the report.


def report(
    measured: Measured,
    findings: list[tuple[Cause, Finding]],
    judgement: Judgement,
    prescription: Prescription,
    model: ModelFacts,
    batch: BatchFacts,
) -> Report:
    """The whole report; the caller fills in its id and the timing."""
    fix = next((r for r in prescription.remedies if r.code == prescription.recommended), None)
    return Report(
        id="",
        created_at=datetime.now(UTC),
        verdict=judgement.verdict,
        severity=judgement.severity,
        headline=headline(measured.case, judgement, findings, fix),
        primary_cause=judgement.primary,
        causes=[cause_finding(c, f) for c, f in findings],
        recommended_fix=prescription.recommended,
        remedies=prescription.remedies,
        phases=phases(measured, judgement.verdict == "phase_gap"),
        layers=[layer_finding(x, measured.case) for x in measured.case.layers],
        model=model,
        batch=batch,
        checks=measured.checks,
        timing_s=Timing(),
        environment=environment(),
        shares_residual=measured.attribution.residual,
        contest=[Explanation(code=r.code, explained=r.explained) for r in contest(measured.case)],
    )


def phases(measured: Measured, significant: bool) -> Phases:
    """Both phases side by side."""
    case = measured.case
    gap = case.gap
    return Phases(
        batch_size=case.batch_size,
        inference=case.inference,
        training=case.training,
        difference=Difference(
            relative_output_rms=gap.total,
            prediction_agreement=gap.agreement,
            noise_floor=gap.noise_floor,
            significant=significant,
            systematic_output_rms=gap.systematic,
            smallest_detectable_rms=SIGNIFICANT_RATIO * gap.noise_floor,
            samples_to_settle=samples_to_settle(case) if gap.undecided else None,
            by_mechanism=Mechanisms(**gap.mechanisms),
        ),
    )


def layer_finding(layer: LayerCase, case: Case) -> LayerFinding:
    """One layer of the list."""
    clock = layer.clock
    f = layer.figures
    return LayerFinding(
        path=layer.path,
        class_name=layer.class_name,
        calls=layer.calls,
        channels=layer.channels,
        axis=layer.axis,
        momentum=layer.momentum,
        epsilon=layer.epsilon,
        trainable=layer.trainable,
        divergence=Divergence(
            kl=f.kl,
            mean_shift_sd=f.mean_shift_sd,
            variance_ratio=f.variance_ratio,
            wasserstein2=f.wasserstein2,
            worst_channels=[_channel(layer, int(i)) for i in np.argsort(-layer.kl, kind="stable")[:WORST_CHANNELS]],
        ),
        noise_floor=layer.noise_floor,
        significant=layer.significant,
        significant_channels=len(layer.discovered_channels),
        smallest_detectable_kl=layer.detectable,
        inherited=layer.inherited,
        share_of_gap=layer.share_of_gap,
        effective_updates=clock.updates if clock else None,
        updates_to_converge=clock.updates_to_converge if clock else None,
        status=status(layer, case),
    )


def status(layer: LayerCase, case: Case) -> LayerStatus:
    """The layer's state in one word."""
    if layer.calls == 0:
        return "not_reached"
    if corrupt_channels(layer, case):
        return "corrupt"
    if not layer.uses_batch:
        return "frozen"
    if layer.at_start:
        return "never_updated"
    if lags(layer, case):
        return "lagging"
    return "divergent" if layer.significant else "ok"


def _channel(layer: LayerCase, index: int) -> ChannelDivergence:
    return ChannelDivergence(
        channel=index,
        kl=float(layer.kl[index]),
        significant=index in layer.discovered_channels,
        stored_mean=float(layer.stored.mean[index]),
        batch_mean=float(layer.batch.mean[index]),
        stored_variance=float(layer.stored.variance[index]),
        batch_variance=float(layer.batch.variance[index]),
    )


def cause_finding(cause: Cause, finding: Finding) -> CauseFinding:
    """One cause of the list."""
    return CauseFinding(
        code=cause.code,
        confidence=finding.confidence,
        severity=finding.severity,
        layers=finding.layers,
        explanation=finding.explanation,
        evidence=finding.evidence,
    )
