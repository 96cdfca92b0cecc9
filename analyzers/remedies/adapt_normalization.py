"""Mean and variance for a Normalization layer."""

from __future__ import annotations

from analyzers.case import Case, Finding

TITLE = "Adapt the Normalization layer"
TREATS = ("normalization_layer_not_adapted",)
WHAT = (
    "Calls `adapt` with training data, or gives the layer the mean and variance that it had. If the weights were "
    "trained behind an adapted layer, that restores the model; if not, adapt before the next training."
)


def explain(case: Case, finding: Finding) -> str:
    """What to change."""
    return (
        "Call `adapt` with training data before training, or give the layer their mean and variance. If the weights "
        "were trained with the layer adapted and only its statistics were lost, adapting on the training data "
        "restores the model."
    )


def snippet(case: Case) -> str | None:
    """Code to paste."""
    return "layer = model.get_layer('normalization')\nlayer.adapt(x_train)  # training data, never this sample\n"
