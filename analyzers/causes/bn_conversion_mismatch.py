"""Converted weights: statistics swapped, or the standard deviation stored as the variance."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._contest import confidence
from analyzers.causes._conversion import best_conversion, converted_otherwise
from analyzers.causes._shared import divergence_evidence, loss_evidence, severity_of_gap, worst_first
from analyzers.report import Evidence

TITLE = "The statistics were converted wrongly"
SOURCE = "gzuidhof/nn-transfer pull 3, qqwweee/keras-yolo3 issue 451: conversions between frameworks"
WHAT = (
    "Frameworks store batch normalization in different orders and units: gamma, beta, mean, variance here; scale, "
    "offset, running statistics with another epsilon there; some keep the inverse standard deviation. A script that "
    "copies by position swaps mean and variance or gamma and beta, or stores the standard deviation, its inverse or "
    "the square where the variance belongs. The training phase uses none of the stored statistics and looks right."
)
LOOKS = (
    "A phase gap in which every layer with statistics is off by the same rule. Undoing one known conversion makes the "
    "stored and the batch statistics of all layers agree at once."
)
EVIDENCE = {
    "divergence_with_conversion_undone": (
        "Mean divergence over layers with the conversion undone. Held against the divergence as stored: it must all "
        "but vanish."
    ),
}
LOOK_ALIKES = {
    "bn_statistics_stale": "No rule fits those.",
    "bn_corrupt_statistics": "That is a matter of single channels; a conversion is one of all.",
    "input_scaling_mismatch": (
        "A wrong scale of the input is seen in the first layer; behind it the training phase agrees with what is "
        "stored."
    ),
    "bn_statistics_unconverged": (
        "A lag pulls variances towards 1, as a root does; but it pulls means towards 0 by the same factor, and a "
        "conversion leaves them."
    ),
}


def judge(case: Case) -> Finding | None:
    """Present where undoing one known conversion makes stored and batch statistics agree in all layers."""
    found = best_conversion(case)
    if case.inference_better:
        return None
    if found is None:
        return _of_weights(case)
    layers = [x for x in case.normalizing if x.path in found.undone and x.significant]
    return Finding(
        confidence(case, "bn_conversion_mismatch", most=0.96),
        severity_of_gap(case),
        f"In all layers {found.what}: undone, the mean divergence from the batch falls from {found.kl_before:.3g} to "
        f"{found.kl_after:.2g} nats. No averaging of batches produces that relation; a script that copied weights "
        "from another framework or format does. Fix the script and convert again. Recalibration hides the fault, but "
        "leaves whatever else the script got wrong.",
        worst_first(layers),
        [
            Evidence(
                name="divergence_with_conversion_undone", value=found.kl_after, unit="nats", reference=found.kl_before
            ),
            *divergence_evidence(layers),
            *loss_evidence(case),
        ],
        case.gap.systematic,
    )


def _of_weights(case: Case) -> Finding | None:
    """Gamma and beta, or epsilon: the statistics are right and belong to what the layers should make of them."""
    trial = converted_otherwise(case)
    if trial is None:
        return None
    layers = [x for x in case.normalizing if x.significant]
    return Finding(
        confidence(case, "bn_conversion_mismatch", most=0.95),
        severity_of_gap(case),
        f"Tried on the model: {trial.what}. Undone, the mean divergence of all layers from what they stored falls from "
        f"{trial.kl_before:.3g} to {trial.kl_after:.2g} nats. So the stored statistics belong to these weights read "
        f"rightly, and a conversion read them wrongly. Correct it in the script that builds or fills the model "
        f"({trial.undo}) and convert again; recalibration would only hide it.",
        worst_first(layers),
        [
            Evidence(
                name="divergence_with_conversion_undone", value=trial.kl_after, unit="nats", reference=trial.kl_before
            ),
            *divergence_evidence(layers),
            *loss_evidence(case),
        ],
        case.gap.systematic,
    )
