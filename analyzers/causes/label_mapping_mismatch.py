"""The labels name other classes than the model's outputs do: shifted by one, or permuted."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import channels_explain
from analyzers.report import Evidence
from analyzers.symptoms import LabelFacts

TITLE = "The labels and the model number the classes differently"
SOURCE = "Kuhn, The Hungarian Method for the Assignment Problem (1955), on the confusion matrix"

CLEAN = 0.6  # Accuracy after renaming, on samples that the renaming was not found on, from which on it is clean ...
BETTER = 0.3  # ... and by how much it must beat the accuracy as sent.


def judge(case: Case) -> Finding | None:
    """Present where one renaming of classes turns poor accuracy into good, in held-out samples."""
    found = [x for x in case.labels if applies(x)]
    if not found or channels_explain(case):
        return None
    worst = max(found, key=lambda x: x.permuted_accuracy - x.accuracy)
    pairs = ", ".join(f"{a} is {b}" for a, b in list(worst.renaming.items())[:6])
    return Finding(
        0.95,
        "critical",
        f"As sent, {100 * worst.accuracy:.0f} % of the decisions of output `{worst.output}` agree with the labels; "
        f"with the classes renamed ({pairs}{', …' if len(worst.renaming) > 6 else ''}) it is "
        f"{100 * worst.permuted_accuracy:.0f} %, counted on samples that the renaming was not found on. The model "
        "works; the numbers mean other classes. Typical: class folders listed in another order, labels from 1 "
        "instead of 0, a class added or dropped.",
        [],
        [
            Evidence(name="accuracy_as_sent", value=worst.accuracy, reference=worst.majority),
            Evidence(name="accuracy_with_classes_renamed", value=worst.permuted_accuracy, reference=worst.accuracy),
        ],
        worst.permuted_accuracy - worst.accuracy,
    )


def applies(x: LabelFacts) -> bool:
    """Whether a renaming explains these labels."""
    guessing = max(x.accuracy, x.majority)  # naming every sample after the commonest class is no renaming
    return bool(x.renaming) and x.permuted_accuracy > max(CLEAN, guessing + BETTER)
