"""Normalize the whole sequence at once."""

from __future__ import annotations

from analyzers.case import Case, Finding

TITLE = "Take batch normalization out of TimeDistributed"
TREATS = ("bn_per_timestep",)
WHAT = (
    "Applies `BatchNormalization` to the whole sequence without the wrapper: axis -1 then normalizes over samples and "
    "steps together, in both phases alike. Then train again, since the weights were fitted to statistics of single "
    "steps. `LayerNormalization` is the choice where steps need statistics of their own."
)


def explain(case: Case, finding: Finding) -> str:
    """What to change."""
    return (
        "Apply `BatchNormalization` to the whole sequence, without the wrapper: its axis -1 normalizes over samples "
        "and steps together, in both phases alike. Then train again, since the weights were fitted to statistics of "
        "single steps. Where steps really need statistics of their own, use `LayerNormalization`."
    )


def snippet(case: Case) -> str | None:
    """Code to paste."""
    return "x = keras.layers.BatchNormalization()(x)  # in place of TimeDistributed(BatchNormalization())\n"
