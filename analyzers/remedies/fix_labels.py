"""Labels that mean what the model's classes mean."""

from __future__ import annotations

from analyzers.case import Case, Finding

TITLE = "Put the labels right"
TREATS = ("label_mapping_mismatch", "labels_misaligned")
WHAT = (
    "Uses the class list that the model was trained with and keeps samples and labels in one order from file to "
    "batch: shuffled together or not at all. The model needs no change."
)
FORM = (
    "mine = {0: 1, 1: 0}  # the renaming that the report names: the model's class, the label's class\n"
    "predicted = [mine.get(c, c) for c in predicted]\n\n"
    "order = rng.permutation(len(x))\nx, y = x[order], y[order]  # one order for both\n"
)


def explain(case: Case, finding: Finding) -> str:
    """What to change about the labels."""
    return (
        "The model needs no change. Use the class list that the model was trained with (the order in which the data "
        "set listed its folders, whether numbers start at 0), and keep samples and labels in one order from file to "
        "batch: shuffle them together or not at all."
    )


def snippet(case: Case) -> str | None:
    """The renaming that was found, where it is one."""
    renaming = next((x.renaming for x in case.labels if x.renaming and x.permuted_accuracy > x.accuracy), None)
    if not renaming:
        return "order = rng.permutation(len(x))\nx, y = x[order], y[order]  # one order for both\n"
    return (
        f"mine = {renaming}  # the model's class: the label's class\npredicted = [mine.get(c, c) for c in predicted]\n"
    )
