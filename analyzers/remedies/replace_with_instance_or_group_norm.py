"""Normalization that does not look at the batch."""

from __future__ import annotations

from analyzers.case import Case, Finding

TITLE = "Replace batch normalization by group or instance normalization"
TREATS = ("bn_small_batch",)


def explain(case: Case, finding: Finding) -> str:
    """What to change."""
    return (
        "Build the model with `GroupNormalization` in place of `BatchNormalization` and train it again, or fine-tune "
        "from these weights. At batch size 1 a convolutional batch normalization is exactly an instance "
        "normalization, `groups=-1`, with the same gamma, beta and epsilon, so the weights carry over as they are."
    )


def snippet(case: Case) -> str | None:
    """Code to paste."""
    return (
        "def replace(layer):\n"
        "    if not isinstance(layer, keras.layers.BatchNormalization):\n"
        "        return layer.__class__.from_config(layer.get_config())\n"
        "    return keras.layers.GroupNormalization(groups=-1, axis=layer.axis, epsilon=layer.epsilon, "
        "name=layer.name)\n\n"
        "new = keras.models.clone_model(model, clone_function=replace)\n"
        "for a, b in zip(model.layers, new.layers):\n"
        "    b.set_weights(a.get_weights()[: len(b.weights)])  # gamma and beta come first\n"
    )
