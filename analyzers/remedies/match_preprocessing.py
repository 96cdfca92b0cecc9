"""Prepare the sample as the training data were prepared; the model stays as it is."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._scale import scale_explains
from analyzers.causes._shared import channels_explain
from analyzers.causes.input_scaling_mismatch import correction
from analyzers.report import Verification

TITLE = "Prepare inputs as in training"
TREATS = ("input_scaling_mismatch", "input_distribution_shift", "input_channel_order_mismatch")
WHAT = (
    "Feeds the model what it was trained on: the factor, the offset or the order of channels that was tried on the "
    "model, or, where no formula restores it, a comparison of both pipelines step by step on one raw sample. Best is "
    "to put the step into the model itself. The model stays as it is."
)
FORM = "x = x / 255  # the correction that the report names; here pixels that were not divided\nmodel.predict(x)\n"


def _formula(case: Case) -> str | None:
    """What to feed in place of x; None where no formula restores the inference phase."""
    if channels_explain(case):
        return "x[..., ::-1]"
    if case.input_scale is not None and scale_explains(case):
        return correction(case.input_scale)
    return None


def heading(case: Case) -> str:
    """The correction itself, where one was tried and restores the inference phase."""
    formula = _formula(case)
    return TITLE if formula is None else f"Feed {formula} in place of x"


def explain(case: Case, finding: Finding) -> str:
    """Which correction restores the inference phase, or where to look for one."""
    formula = _formula(case)
    if formula is None:
        return (
            "No single factor, offset or order of channels makes this sample what the model was trained on. Compare "
            "the two pipelines step by step on one raw sample: decoding, resizing, colour space, units of each column, "
            "augmentation left on. If data in production do look like this, it is a new domain: then recalibrate on "
            "them, or fine-tune."
        )
    return (
        f"Feed {formula} in place of x, as was tried here. Better still, put the step into the model, so that it "
        "cannot be forgotten again. If data in production do look like this sample, this is a new domain, and "
        "recalibration on it is the remedy."
    )


def verification(case: Case) -> Verification | None:
    """The trial of the correction: nothing was taken from the labels, two numbers at most from the sample."""
    loss = case.reversed_channels.loss if case.reversed_channels is not None else None
    if channels_explain(case) and loss is not None:
        return Verification(
            status="verified",
            method="tried: inference on the sample with its channels reversed, loss paired over samples",
            samples=case.samples,
            before={"loss": loss.before},
            after={"loss": loss.after},
            interval=loss.interval,
            note="95 % interval of the decrease of the loss per sample. Nothing was fitted to the sample.",
        )
    trial = case.input_scale
    if trial is None or not scale_explains(case):
        return None
    return Verification(
        status="verified" if _better(trial.loss_before, trial.loss_after) else "not_tested",
        method="tried: both phases on the corrected input",
        samples=case.samples,
        before={"loss": trial.loss_before, "distance_to_training_phase": trial.distance_before},
        after={"loss": trial.loss_after, "distance_to_training_phase": trial.distance_after},
        note="One factor and one offset were fitted to the first layers' stored statistics, not to the labels, and "
        "every layer behind agrees with what it stored.",
    )


def _better(before: float | None, after: float | None) -> bool:
    """Labels say so; without any, an input that only looks like the training data could be another domain as well."""
    return before is not None and after is not None and after < before


def snippet(case: Case) -> str | None:
    """The correction as code."""
    formula = _formula(case)
    return None if formula is None else f"x = {formula}  # then predict as before\nmodel.predict(x)\n"
