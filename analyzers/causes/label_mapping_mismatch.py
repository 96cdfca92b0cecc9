"""The labels name other classes than the model's outputs do: shifted by one, permuted, or written in other numbers."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import channels_explain
from analyzers.report import Evidence
from analyzers.symptoms import LabelFacts

TITLE = "The labels and the model number the classes differently"
SOURCE = "Kuhn, The Hungarian Method for the Assignment Problem (1955), on the confusion matrix"
OUTSIDE = True
WHAT = (
    "Model and labels number the classes differently: folders listed in another order, numbers from 1 instead of 0, a "
    "class added or dropped, masks of 0 and 255 where the loss wants 0 and 1. The predictions are right and counted "
    "as wrong. The best renaming is found on the confusion matrix (an assignment problem, solved after Kuhn) and "
    "counted on samples that it was not found on."
)
LOOKS = (
    "Accuracy far below what the model believes, often below chance, in both phases alike; one renaming of the "
    "classes makes it good. Or a loss that makes no sense because the labels are written in other numbers."
)
EVIDENCE = {
    "accuracy_as_sent": "Share of right decisions with the labels as sent. Held against chance.",
    "accuracy_with_classes_renamed": "The same with the classes renamed. Held against that as sent.",
    "standard_errors_of_gain": (
        "By how many standard errors the renaming is better on held-out samples. Held against the number that is "
        "required."
    ),
    "lower_label": "The smaller of two numbers that the labels are written in. Held against 0.",
    "upper_label": "The larger. Held against 1.",
    "accuracy_with_labels_0_and_1": "Share of right decisions with these read as 0 and 1. Held against chance.",
}
LOOK_ALIKES = {
    "labels_misaligned": "No renaming helps there: the labels belong to other samples.",
    "input_channel_order_mismatch": "There the input is at fault, and reversing it restores the model.",
    "metric_mismatch": "There decisions are right and counted by the wrong rule.",
    "bn_statistics_unconverged": "A broken phase also has poor accuracy, in one phase only.",
}

CLEAN = 0.6  # Share of right decisions among those that a renaming changes: a model that errs is not so consistent ...
AS_BELIEVED = 0.75  # ... or this part of the share that the model itself believes to get right, if that is less.
CERTAIN_Z = 3.0  # Standard errors by which the renaming must beat the labels as sent, counted on held-out samples.
CONFIRMED = 2  # Classes that bear a renaming out: it takes two to exchange names; one is a class never predicted.
BOTH_PHASES = 0.5  # Of the gain, in the training phase too: the labels are the same in both, a broken phase is not.
SHOWN = 6  # Pairs listed in the explanation.


def judge(case: Case) -> Finding | None:
    """Present where one renaming of classes turns poor accuracy into good, in held-out samples and in both phases."""
    coded = [x for x in case.labels if x.coding is not None]
    if coded:
        return _written_otherwise(coded[0])
    found = [x for x in case.labels if applies(x)]
    if not found or channels_explain(case) or case.weights.untrained or case.weights.left_at_start:
        return None
    worst = max(found, key=lambda x: x.permuted_accuracy - x.accuracy)
    pairs = ", ".join(f"{a} is {b}" for a, b in list(worst.renaming.items())[:SHOWN])
    rest = ", …" if len(worst.renaming) > SHOWN else ""
    how = f"{worst.rule}: {pairs}{rest}" if worst.rule else f"{pairs}{rest}"
    counted = "" if worst.rule else ", counted on samples that the renaming was not found on"
    return Finding(
        0.95,
        "critical",
        f"As sent, {100 * worst.accuracy:.0f} % of the decisions of output `{worst.output}` agree with the labels; "
        f"with the classes renamed ({how}) it is {100 * worst.permuted_accuracy:.0f} %{counted}. The model works; the "
        "numbers mean other classes. Typical: class folders listed in another order, labels from 1 instead of 0, a "
        "class added or dropped.",
        [],
        [
            Evidence(name="accuracy_as_sent", value=worst.accuracy, reference=worst.chance),
            Evidence(name="accuracy_with_classes_renamed", value=worst.permuted_accuracy, reference=worst.accuracy),
            Evidence(name="standard_errors_of_gain", value=worst.renaming_z, reference=CERTAIN_Z),
        ],
        worst.permuted_accuracy - worst.accuracy,
    )


def applies(x: LabelFacts) -> bool:
    """Whether a renaming explains these labels."""
    gain = x.permuted_accuracy - x.accuracy
    trained_gain = x.training_permuted_accuracy - x.training_accuracy
    return bool(
        x.renaming
        and x.renaming_z >= CERTAIN_Z
        and x.clean >= min(CLEAN, AS_BELIEVED * x.confidence)
        and x.confirmed >= CONFIRMED
        and (x.calibrated or trained_gain >= BOTH_PHASES * gain)
    )


def _written_otherwise(x: LabelFacts) -> Finding:
    assert x.coding is not None
    low, high = x.coding
    return Finding(
        0.93,
        "critical",
        f"The labels of output `{x.output}` are {low:g} and {high:g}, and its loss takes them to be 0 and 1: loss and "
        f"metrics are of no use as they stand. Read as 0 and 1, {100 * x.accuracy:.0f} % of the decisions are right. "
        "Typical: masks of 0 and 255 that were not divided, classes 1 and 2, or -1 and 1 for a hinge loss.",
        [],
        [
            Evidence(name="lower_label", value=low, reference=0),
            Evidence(name="upper_label", value=high, reference=1),
            Evidence(name="accuracy_with_labels_0_and_1", value=x.accuracy, reference=x.chance),
        ],
        1.0,
    )
