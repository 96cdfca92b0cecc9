"""Colour channels in another order than in training: BGR for RGB. Tried: the same images, channels reversed."""

from __future__ import annotations

from analyzers.case import Case, ChannelTrial, Finding
from analyzers.causes._shared import channels_explain
from analyzers.report import Evidence

TITLE = "The colour channels are in the wrong order"
SOURCE = "Tried on the model: images with reversed channels are run in the inference phase"


def judge(case: Case) -> Finding | None:
    """Present where reversing the channels takes most of the loss away."""
    trial = case.reversed_channels
    if trial is None or not channels_explain(case):
        return None
    if trial.loss is not None:
        tried = f"the inference loss falls from {trial.loss.before:.3g} to {trial.loss.after:.3g}"
    else:
        tried = (
            f"the normalizing layers see what they stored: their divergence falls from {trial.kl_before:.3g} to "
            f"{trial.kl_after:.3g} nats"
        )
    return Finding(
        0.95 if trial.loss is not None else 0.9,
        "critical",
        f"With the colour channels reversed {tried}. The model was trained on the other order: images read by OpenCV "
        "are BGR, by Pillow and TensorFlow RGB. Both phases suffer alike, so this is no matter of batch normalization.",
        [],
        _evidence(trial),
        trial.loss.mean if trial.loss is not None else 1.0,
    )


def _evidence(trial: ChannelTrial) -> list[Evidence]:
    before, after = trial.kl_before, trial.kl_after
    found = []
    if trial.loss is not None:
        found.append(
            Evidence(
                name="loss_with_channels_reversed", value=trial.loss.after, reference=trial.loss.before, unit="loss"
            )
        )
    if trial.accuracy is not None:
        found.append(Evidence(name="accuracy_with_channels_reversed", value=trial.accuracy, reference=trial.confidence))
    if before is not None:
        found.append(Evidence(name="divergence_with_channels_reversed", value=after, reference=before, unit="nats"))
    return found
