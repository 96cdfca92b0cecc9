"""A last layer that can tell samples apart."""

from __future__ import annotations

from analyzers.case import Case, Finding

TITLE = "Repair the last layer"
TREATS = ("degenerate_output",)
WHAT = (
    "Gives the model a head that can vary: a sigmoid on a single unit, or a softmax over one unit a class, with "
    "weights that are not zero. Then train again."
)


def explain(case: Case, finding: Finding) -> str:
    """What to change."""
    return (
        "Give the model a head that can vary: a sigmoid on a single unit, or a softmax over one unit per class; and "
        "check that the last layer has weights. Then train again."
    )


def snippet(case: Case) -> str | None:
    """Code to paste."""
    return (
        "outputs = keras.layers.Dense(1, activation='sigmoid')(features)  # with binary_crossentropy\n"
        "outputs = keras.layers.Dense(classes, activation='softmax')(features)  # with "
        "sparse_categorical_crossentropy\n"
    )
