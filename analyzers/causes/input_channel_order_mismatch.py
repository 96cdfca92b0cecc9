"""Colour channels in another order than in training: BGR for RGB. Tried: the same images, channels reversed."""

from __future__ import annotations

from analyzers.case import Case, ChannelTrial, Finding
from analyzers.causes._shared import channels_explain
from analyzers.report import Evidence

TITLE = "The colour channels are in the wrong order"
SOURCE = "Tried on the model: images with reversed channels are run in the inference phase"
WHAT = (
    "The images have their colour channels in another order than those of the training: OpenCV reads BGR, Pillow and "
    "TensorFlow RGB. Each filter of the first layer gets the wrong colour. Batch normalization sees nothing unusual "
    "in it, and both phases are wrong alike."
)
LOOKS = (
    "Poor figures in both phases on images. Reversing the channels was tried on the model and takes most of the loss "
    "away, or, without labels, makes the normalizing layers see what they stored."
)
EVIDENCE = {
    "loss_with_channels_reversed": "Inference loss with the channels reversed. Held against the loss as sent.",
    "accuracy_with_channels_reversed": (
        "Share of right decisions with the channels reversed. Held against what the model believes that share to be."
    ),
    "divergence_with_channels_reversed": (
        "Mean divergence of what the layers see from what they stored, with the channels reversed. Held against that "
        "as sent."
    ),
}
LOOK_ALIKES = {
    "input_scaling_mismatch": "A factor or offset, not an order.",
    "label_mapping_mismatch": "There the labels are in another order, and no change of the input helps.",
    "input_distribution_shift": "Other colours in general; reversing restores nothing.",
}


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
