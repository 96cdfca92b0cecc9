"""Prepare the sample as the training data were prepared; the model stays as it is."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes.input_scaling_mismatch import correction

TITLE = "Prepare inputs as in training"
TREATS = ("input_scaling_mismatch", "input_distribution_shift", "input_channel_order_mismatch")


def explain(case: Case, finding: Finding) -> str:
    """Which correction restores the inference phase."""
    formula = correction(case.input_scale) if case.input_scale else "the training pipeline's steps"
    return (
        f"Feed {formula} in place of x, which brings the first layers back to the statistics that training left "
        "there. Better still, put the step into the model (a `Rescaling` layer), so that it cannot be forgotten "
        "again. If data in production do look like this sample, this is a new domain, and recalibration on it is the "
        "remedy."
    )


def snippet(case: Case) -> str | None:
    """The correction as code."""
    if case.input_scale is None:
        return None
    return f"x = {correction(case.input_scale)}  # then predict as before\nmodel.predict(x)\n"
