"""Colour channels in another order than in training: BGR for RGB. Tried: the same images, channels reversed."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import channels_explain
from analyzers.report import Evidence

TITLE = "The colour channels are in the wrong order"
SOURCE = "Tried on the model: images with reversed channels are run in the inference phase"


def judge(case: Case) -> Finding | None:
    """Present where reversing the channels takes most of the loss away."""
    trial = case.reversed_channels
    if trial is None or not channels_explain(case):
        return None
    return Finding(
        0.95,
        "critical",
        f"With the colour channels reversed the inference loss falls from {trial.loss.before:.3g} to "
        f"{trial.loss.after:.3g}. The model was trained on the other order: images read by OpenCV are BGR, by Pillow "
        "and TensorFlow RGB. Both phases suffer alike, so this is no matter of batch normalization.",
        [],
        [
            Evidence(
                name="loss_with_channels_reversed", value=trial.loss.after, reference=trial.loss.before, unit="loss"
            )
        ],
        trial.loss.mean,
    )
