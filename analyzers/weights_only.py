"""What may be said of weights that came without their model: the stored statistics, and how to get the rest.

Nothing can be run. So nothing is concluded, nothing recommended, and every figure of a phase is "not measured"; causes
are those that stored statistics alone make likely, at half of the confidence that a run would give them.
"""

from __future__ import annotations

from datetime import UTC, datetime

from analyzers.batches import TensorSpec, fit_batch
from analyzers.batches.spec import Batch, RawBatch
from analyzers.batches.values import dtype_of
from analyzers.errors import NoPhaseInformation
from analyzers.facts import Source, batch_facts, environment
from analyzers.one_phase import UNKNOWN
from analyzers.probes.averaging_clock import CONVERGED, updates_needed
from analyzers.report import (
    CauseFinding,
    Check,
    Difference,
    Evidence,
    Mechanisms,
    ModelFacts,
    PhaseFigures,
    Phases,
    Report,
    ReportedFigure,
    Timing,
)
from analyzers.report_layers import Divergence, LayerFinding, LayerStatus
from analyzers.static_facts import static_facts, status
from analyzers.subjects.outline_facts import DEFAULT_MOMENTUM, Normalizing, Outline
from analyzers.subjects.outline_words import clause
from analyzers.wording import plural

CORRUPT, NEVER_UPDATED, UNCONVERGED = 0.5, 0.35, 0.3
"""Confidence: half of what the causes have where there are no labels; less where the momentum is a guess."""

MOST = 0.5
"""At least so many of the layers stand at their start, as in `bn_statistics_never_updated`."""

SLACK = 0.9
"""Of the smallest variance that a lag leaves: float32 and one layer's warm start move it by no more."""

WHOLE = "Send the whole model for the rest: `model.save('model.keras')`."
NOTHING_RUN = (
    "only weights were sent, without the model that they belong to: nothing was run, and all that is said follows from "
    "the stored values alone. The momentum is not in such a file"
)


def weights_report(outline: Outline, raw: RawBatch, reported: dict[str, float] | None, source: Source) -> Report:
    """The whole report on weights alone; the caller fills in its id, the batch size and the timing.

    Raises:
        NoPhaseInformation: no moving statistics among the weights.
        BatchError: as for any model.
    """
    if not outline.normalizing:
        raise NoPhaseInformation(_no_statistics(outline))
    causes = [c for c in (_corrupt(outline), _never_updated(outline), _unconverged(outline)) if c is not None]
    return Report(
        id="",
        created_at=datetime.now(UTC),
        verdict="inconclusive",
        severity="warning" if causes else "info",
        headline=f"Only the weights of a model are in this file, so nothing was run. {_statistics(outline)} {WHOLE}",
        primary_cause=None,
        causes=causes,
        recommended_fix=None,
        remedies=[],
        phases=_phases(reported),
        layers=[_layer(x) for x in outline.normalizing],
        model=_facts(outline, source),
        batch=batch_facts(_batch(raw), source.batch_sha256),
        checks=[Check(name="run", passed=None, detail=NOTHING_RUN)],
        timing_s=Timing(),
        environment=environment(),
    )


def _batch(raw: RawBatch) -> Batch:
    """The batch as it was sent, held against itself: its arrays have to belong together."""
    inputs = [TensorSpec(k or "x", (None, *a.shape[1:]), dtype_of(a)) for k, a in raw.x.items()]
    outputs = [TensorSpec(k or "y", (None, *a.shape[1:]), dtype_of(a)) for k, a in raw.y.items()]
    return fit_batch(raw, inputs, outputs)


def _facts(outline: Outline, source: Source) -> ModelFacts:
    return ModelFacts(
        name=outline.name or "weights",
        format=outline.format,
        keras_version=outline.keras_version,
        parameters=outline.parameters or 0,
        layers=outline.layers,
        batch_normalizing_layers=len(outline.normalizing),
        optimizer_iterations=outline.optimizer_iterations,
        compiled=False,
        sha256=source.model_sha256,
        static=static_facts(outline),
    )


def _phases(reported: dict[str, float] | None) -> Phases:
    figures = [
        ReportedFigure(
            name=n, value=v, inference=None, training=None, reproduced_by="not_computed", note="nothing was run"
        )
        for n, v in (reported or {}).items()
    ]
    unknown = Mechanisms(batch_statistics=UNKNOWN, stochastic_layers=UNKNOWN, augmentation=UNKNOWN, other=UNKNOWN)
    difference = Difference(
        relative_output_rms=UNKNOWN,
        prediction_agreement=None,
        noise_floor=UNKNOWN,
        significant=False,
        systematic_output_rms=UNKNOWN,
        by_mechanism=unknown,
    )
    none = PhaseFigures(loss=None, repeats=0)
    return Phases(batch_size=0, inference=none, training=none, difference=difference, reported=figures)


def _layer(found: Normalizing) -> LayerFinding:
    divergence = Divergence(kl=UNKNOWN, mean_shift_sd=UNKNOWN, variance_ratio=UNKNOWN, wasserstein2=UNKNOWN)
    states: dict[str, LayerStatus] = {"corrupt": "corrupt", "never_updated": "never_updated"}
    return LayerFinding(
        path=found.path,
        class_name=found.class_name,
        calls=0,
        channels=found.channels or 0,
        axis=-1,
        momentum=UNKNOWN,
        epsilon=UNKNOWN,
        trainable=True,
        divergence=divergence,
        noise_floor=UNKNOWN,
        significant=False,
        smallest_detectable_kl=UNKNOWN,
        inherited=UNKNOWN,
        share_of_gap=0.0,
        effective_updates=None,
        updates_to_converge=None,
        status=states.get(status(found.stored), "not_reached"),
    )


def _of_status(outline: Outline, wanted: str) -> list[Normalizing]:
    return [x for x in outline.normalizing if status(x.stored) == wanted]


def _trained(outline: Outline) -> bool:
    return bool(outline.moved or outline.optimizer_iterations)


def _corrupt(outline: Outline) -> CauseFinding | None:
    bad = _of_status(outline, "corrupt")
    if not bad:
        return None
    counts = {x.path: x.stored.non_finite + x.stored.negative for x in bad if x.stored}
    return CauseFinding(
        code="bn_corrupt_statistics",
        confidence=CORRUPT,
        severity="warning",
        layers=list(counts),
        explanation=f"In {plural(sum(counts.values()), 'channel')} of {plural(len(bad), 'layer')} stand statistics "
        "that no average of batches can have: NaN, infinite, or a variance below zero.",
        evidence=[Evidence(name="corrupt_channels", value=n, unit="channels", layer=p) for p, n in counts.items()],
    )


def _never_updated(outline: Outline) -> CauseFinding | None:
    untouched = _of_status(outline, "never_updated")
    if not untouched or len(untouched) < MOST * len(outline.normalizing) or not _trained(outline):
        return None
    return CauseFinding(
        code="bn_statistics_never_updated",
        confidence=NEVER_UPDATED,
        severity="warning",
        layers=[x.path for x in untouched],
        explanation=f"The moving statistics of {plural(len(untouched), 'layer')} are exactly mean 0 and variance 1, "
        "while other weights in the file were trained: the updates never ran, or only trainable weights were saved.",
        evidence=[
            Evidence(name="layers_at_initial_statistics", value=len(untouched), reference=len(outline.normalizing))
        ],
    )


def _unconverged(outline: Outline) -> CauseFinding | None:
    """By the optimizer's steps at Keras' own momentum, which nobody may have used.

    The start keeps the share w = momentum^steps, and no variance can be below w: one that is refutes this momentum.
    """
    steps = outline.optimizer_iterations
    sound = [x for x in outline.normalizing if x.stored and status(x.stored) == "ok"]
    left = DEFAULT_MOMENTUM ** (steps or 0)
    fits = all(x.stored.least >= SLACK * left for x in sound if x.stored)
    if not steps or not sound or left <= CONVERGED or not fits:
        return None
    needed = updates_needed(DEFAULT_MOMENTUM)
    return CauseFinding(
        code="bn_statistics_unconverged",
        confidence=UNCONVERGED,
        severity="warning",
        layers=[x.path for x in sound],
        explanation=f"The optimizer in the file counts {plural(steps, 'step')}. If the layers have Keras' default "
        f"momentum, {DEFAULT_MOMENTUM:g}, which the file does not tell, their statistics still carry {100 * left:.0f} "
        f"% of their start: it takes {needed} updates until 1 % is left.",
        evidence=[Evidence(name="optimizer_iterations", value=steps, unit="updates", reference=needed)],
    )


def _statistics(outline: Outline) -> str:
    """The stored statistics in one or two sentences."""
    total = plural(len(outline.normalizing), "batch-normalizing layer")
    said = {"corrupt": "hold impossible values", "never_updated": "stand exactly at their start"}
    parts = [f"{len(found)} {what}" for s, what in said.items() if (found := _of_status(outline, s))]
    if parts:
        fresh = (
            "" if _trained(outline) or "start" not in parts[-1] else " The rest of the weights does not look trained."
        )
        return f"Of the stored statistics of its {total}, those of {', of '.join(parts)}.{fresh}"
    if _unconverged(outline) is not None:
        steps = plural(outline.optimizer_iterations or 0, "step")
        return f"After {steps} of the optimizer the statistics of its {total} may still carry much of their start."
    return f"The stored statistics of its {total} show nothing wrong by themselves."


def _no_statistics(outline: Outline) -> str:
    untold = ""
    if outline.untold:
        named = ", ".join(f"`{path[:80]}`" for path in outline.untold[:3])
        untold = f" (what {named} belongs to, the file does not say)"
    return f"The file holds {clause(outline)}, without their model and without moving statistics{untold}. {WHOLE}"
