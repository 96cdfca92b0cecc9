"""The sample is not like the training data, in a way that no single factor and offset explain.

The first layers are off; the layers behind them, which see normalized values in the training phase, agree with what
they stored. Stands only where no specific cause does.
"""

from __future__ import annotations

from analyzers.case import Case, Finding, ShiftTrial
from analyzers.causes._contest import confidence
from analyzers.causes._shared import (
    divergence_evidence,
    loss_evidence,
    severity_of_gap,
    share,
    shift_explains,
    weights_disagree,
)
from analyzers.report import Evidence

TITLE = "The sample is not like the data that the model was trained on"
SOURCE = (
    "Li et al., Revisiting Batch Normalization for Practical Domain Adaptation (2016): domains differ in these "
    "statistics"
)
RESIDUAL = True
WHAT = (
    "The sample differs from the training data in a way that no single factor and offset undoes: another sensor, "
    "other colours or contrast, one column in another unit, blur, noise, another population. Mean and variance of the "
    "first features carry the mark of a domain (Li et al.), so the stored ones do not fit; once the first layer has "
    "normalized the sample by itself, the layers behind find what they know."
)
LOOKS = (
    "A phase gap whose divergence sits in the layers that see the input and fades behind them. It is named only where "
    "no specific cause is. Where single channels in another unit or light were tried and hold for the layers behind, "
    "the correction is printed as a hint."
)
EVIDENCE = {
    "divergence_behind_first_layer": (
        "The largest divergence of a layer that does not see the input. Held against that of the layer that does, "
        "which is larger here."
    ),
    "divergence_behind_after_correction_of_channels": (
        "Divergence behind the first layers with single channels corrected. Held against that as sent: nothing was "
        "fitted there, so a fall means that the correction is about right."
    ),
}
LOOK_ALIKES = {
    "input_scaling_mismatch": "One factor and offset for all channels, which is then named and tried.",
    "bn_statistics_stale": "Off behind the first layers, too.",
    "bn_frozen_domain_shift": "The same with momentum at 1: then the training itself ran on the new domain.",
}

POSSIBLE = 0.4  # Less than that statistics are stale, which needs no strange sample to have been sent.
TRIED = 0.92  # How sure a correction makes it that holds where it was not fitted.


def judge(case: Case) -> Finding | None:
    """Present where a systematic gap goes with divergence of the first layer alone."""
    if not case.behind or case.inference_better or not case.gap.systematic_significant:
        return None
    off = [x for x in case.at_input if x.significant and not x.at_start]
    if weights_disagree(case) and case.training.data_loss is None:
        return _possible(case)
    if not off or weights_disagree(case):
        return None
    first, deep = off[0], max(x.figures.kl for x in case.behind)
    trial = case.input_shift if shift_explains(case) else None
    return Finding(
        TRIED if trial is not None else confidence(case, "input_distribution_shift", most=0.9),
        severity_of_gap(case),
        f"The first layer, `{first.path}`, is off by {first.figures.kl:.3g} nats, and the layers behind it agree with "
        "what they stored once it is normalized: statistics and weights are in order, the input is not what they "
        f"were made for.{_tried(trial)} Check how the sample was prepared (colours, contrast, units of single columns, "
        "another sensor). Is this how production data look? Only then is recalibrating on them right; on a sample "
        "prepared by mistake it would seem to help and break the model for its own data.",
        [x.path for x in off],
        [
            Evidence(name="divergence_behind_first_layer", value=deep, unit="nats", reference=first.figures.kl),
            *_evidence(trial),
            *divergence_evidence(off),
            *loss_evidence(case),
        ],
        share(off, case),
    )


def _possible(case: Case) -> Finding:
    """Without labels, beside statistics of other weights: a sample of another kind leaves the same picture."""
    return Finding(
        POSSIBLE,
        "info",
        "Layers behind the first are off too, as with statistics of other weights, and no labels tell which phase is "
        "right. Where this sample is of another kind than the training data, statistics and weights may be in order. "
        "Is this how production data look?",
    )


def _tried(trial: ShiftTrial | None) -> str:
    if trial is None:
        return ""
    return (
        f" Tried: with {trial.correction} in place of x, {trial.parameters} numbers fitted to {trial.statistics} "
        "statistics of the layers that see the input, the divergence of those behind, to which nothing was fitted, "
        f"falls from {trial.deep_kl_before:.2g} to {trial.deep_kl_after:.2g} nats in the inference phase. Read it as a "
        "hint at what was done to the data, not as their repair."
    )


def _evidence(trial: ShiftTrial | None) -> list[Evidence]:
    if trial is None:
        return []
    return [
        Evidence(
            name="divergence_behind_after_correction_of_channels",
            value=trial.deep_kl_after,
            unit="nats",
            reference=trial.deep_kl_before,
        )
    ]
