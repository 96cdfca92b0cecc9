"""The sample is scaled or offset differently than the training data: a missing /255, a mean not subtracted.

It looks exactly like stale statistics, and recalibrating "fixes" the sample while it destroys the model for its own
data. So the hypothesis is tried: one factor and one offset for all channels that see the input first, applied to the
input. It holds only if the divergence of the layers behind then vanishes, and if those layers agree with their stored
statistics in the training phase, where the first normalization hides the scale.
"""

from __future__ import annotations

import math

from analyzers.case import Case, Finding, ScaleTrial
from analyzers.causes._contest import confidence
from analyzers.causes._conversion import best_conversion
from analyzers.causes._scale import allowed_spread, scale_explains
from analyzers.causes._shared import loss_evidence, severity_of_gap
from analyzers.report import Evidence

TITLE = "The sample is scaled differently than the training data"
SOURCE = "Tried on the model: the corrected input is run in the inference phase"
WHAT = (
    "The sample was prepared with another factor or offset than the training data: pixels not divided by 255, a mean "
    "not subtracted, metres for millimetres. In the training phase the first batch normalization takes any factor and "
    "offset away, so that phase looks well; inference normalizes with statistics of the right scale and gets "
    "nonsense. It looks exactly like stale statistics, and recalibrating on the sample seems to mend it while it "
    "spoils the model for its own data: the most dangerous wrong answer that there is."
)
LOOKS = (
    "A phase gap with the first layers off by one and the same factor in all channels, and the layers behind them in "
    "order in the training phase. The corrected input was run through the model, and inference then agrees with the "
    "training phase."
)
EVIDENCE = {
    "factor_that_restores": "What the input must be multiplied by. Held against 1.",
    "offset_that_restores": "What must then be added. Held against 0.",
    "spread_of_factor_over_channels": (
        "How much the channels disagree about the factor, as a standard deviation of logarithms. Held against what "
        "sampling and tolerance allow."
    ),
    "divergence_after_correction": (
        "Divergence of the layers that see the input, with the correction. Held against that without."
    ),
    "output_distance_after_correction": (
        "Distance of inference from the training phase, with the correction. Held against that without."
    ),
}
LOOK_ALIKES = {
    "bn_statistics_stale": (
        "Statistics of other weights are off behind the first layers, too, and no factor mends them."
    ),
    "input_distribution_shift": "No single factor and offset restores inference there.",
    "bn_frozen_domain_shift": (
        "If production data look like this sample, it is no mistake but a new domain, and recalibration is right. "
        "Only the model's owner knows."
    ),
    "bn_conversion_mismatch": "A wrong conversion is seen in all layers, a wrong scale in the first ones.",
}

USUAL_FACTORS = (1 / 255, 255.0, 1 / 127.5, 127.5, 1.0)  # Pixels to 0..1 and back, to -1..1 and back, an offset alone.
USUAL_OFFSETS = (0.0, -1.0, 1.0, 127.5)
NEAR_FACTOR = 0.03  # Relative: a few hundred samples do not tell a spread more finely.
NEAR_OFFSET = 0.05  # In units of the corrected input, whose spread is near one in these cases.
NO_OFFSET = 0.02  # Below this an offset is the sample's own.


def judge(case: Case) -> Finding | None:
    """Present where the trial restores the inference phase."""
    trial = case.input_scale
    if trial is None or not scale_explains(case) or best_conversion(case):
        return None
    formula = correction(trial)
    return Finding(
        confidence(case, "input_scaling_mismatch", most=0.96 if trial.spread < allowed_spread(trial) / 2 else 0.85),
        "warning" if (found := severity_of_gap(case)) == "info" else found,  # the wrong input is a fault without a gap
        f"One factor explains every channel of {_names(trial.paths)}, the first to see the input: with {formula} in "
        f"place of x the inference phase agrees with the training phase (distance {trial.distance_before:.2g} before, "
        f"{trial.distance_after:.2g} after), and the divergence of the layers behind falls from "
        f"{trial.deep_kl_before:.2g} to {trial.deep_kl_after:.2g} nats. {_rest(trial)} Do not recalibrate: it would "
        "fit the statistics to the wrong scale and break the model for its own data. If production data really look "
        "like this sample, calibrate on them instead.",
        trial.paths,
        _evidence(case, trial),
        case.gap.systematic * 1.01,
    )


def _rest(trial: ScaleTrial) -> str:
    if trial.lagging:
        return (
            "The sample was not prepared as the training data were. The statistics also lag, see there: what is said "
            "here was measured with that lag undone."
        )
    return "The model is fine; the sample was not prepared as the training data were."


def correction(trial: ScaleTrial) -> str:
    """The correction as code: "x / 255", "x / 127.5 - 1", "x * 0.123 + 4.5"."""
    factor, offset = _usual(trial)
    inverse = 1 / factor
    scaled = "x" if factor == 1.0 else f"x / {inverse:.4g}" if inverse > 1 else f"x * {factor:.4g}"
    return scaled if abs(offset) < NO_OFFSET else f"{scaled} {'+' if offset > 0 else '-'} {abs(offset):.3g}"


def _usual(trial: ScaleTrial) -> tuple[float, float]:
    """What people do to images, where the fit lies so near to it that no sample could tell; else the fit itself."""
    factor = next((f for f in USUAL_FACTORS if abs(math.log(trial.factor / f)) < NEAR_FACTOR), trial.factor)
    if factor == trial.factor:
        return trial.factor, trial.offset
    return factor, next(
        (o for o in USUAL_OFFSETS if abs(trial.offset - o) < NEAR_OFFSET * max(1.0, factor)), trial.offset
    )


def _names(paths: list[str]) -> str:
    return f"`{paths[0]}`" if len(paths) == 1 else f"`{paths[0]}` and {len(paths) - 1} more"


def _evidence(case: Case, trial: ScaleTrial) -> list[Evidence]:
    first = trial.paths[0]
    return [
        Evidence(name="factor_that_restores", value=trial.factor, reference=1.0, layer=first),
        Evidence(name="offset_that_restores", value=trial.offset, reference=0.0, layer=first),
        Evidence(
            name="spread_of_factor_over_channels",
            value=trial.spread,
            unit="log",
            reference=allowed_spread(trial),
            layer=first,
        ),
        Evidence(
            name="divergence_after_correction",
            value=trial.kl_after,
            unit="nats",
            reference=trial.kl_before,
            layer=first,
        ),
        Evidence(name="output_distance_after_correction", value=trial.distance_after, reference=trial.distance_before),
        *loss_evidence(case),
    ]
