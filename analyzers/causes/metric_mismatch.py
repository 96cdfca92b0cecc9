"""A metric or a loss that does not fit what the head gives."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence
from analyzers.symptoms import MetricFacts, Misfit

TITLE = "The metric or loss does not fit the model's output"
SOURCE = "Keras' losses and metrics: what `from_logits`, thresholds and the shapes of labels make of an output"
OUTSIDE = True
WHAT = (
    "Keras computes what it is told: binary accuracy on one-hot labels counts entries and is high for any model; a "
    "threshold of 0.5 on logits is a threshold of 0.62 in probability; `from_logits=True` behind a softmax applies it "
    "twice; `sparse_` metrics want class numbers and the others one-hot vectors. The model is as good as it is; the "
    "number says something else."
)
LOOKS = (
    "A metric or loss in the report that differs from the one that fits the output and the labels. The phases may "
    "agree."
)
EVIDENCE = {
    "<name of the metric or loss>": (
        "Its value as compiled. Held against the value of the one that fits, whose name stands in the place of the "
        "unit."
    ),
}
LOOK_ALIKES = {
    "label_mapping_mismatch": "There the labels are at fault, and every metric is poor.",
    "loss_includes_regularization": "There the loss is right and contains a second part.",
}

NOTABLE = 0.02  # Difference of a metric from the one that fits, which is worth a warning.
NOTABLE_LOSS = 0.05  # The same for a loss, relative to the larger of both.

WHY: dict[Misfit, str] = {
    "entries": "On one-hot labels binary accuracy counts the entries of the vector, most of which are rightly near 0 "
    "whatever the model says: use `categorical_accuracy`.",
    "threshold": "The head gives logits, not probabilities, and the metric's threshold is 0.5: use a threshold of 0.0 "
    "(`keras.metrics.BinaryAccuracy(threshold=0.0)`), or a sigmoid at the end.",
    "twice": "The head ends in a softmax or sigmoid already and `from_logits=True` asks for another one: leave "
    "`from_logits` out, or the activation.",
    "never": "The head ends without an activation, and the loss takes what it gives for probabilities, cut off at 0 "
    "and 1: set `from_logits=True`, or put a softmax or sigmoid at the end.",
    "one_unit": "It chooses among the units of the last axis, of which there is one: use the binary loss and "
    "`binary_accuracy` with a single unit.",
    "class_numbers": "`categorical_accuracy` wants one-hot labels, and these are class numbers: use "
    "`sparse_categorical_accuracy`.",
    "equality": "`keras.metrics.Accuracy` counts outputs that equal the label to the last digit: use "
    '`BinaryAccuracy`, `SparseCategoricalAccuracy` or `CategoricalAccuracy`, or the string "accuracy".',
    "several": "The labels mark several classes a sample, and `accuracy` looks at the largest output only: use "
    "`binary_accuracy`, or F1.",
    "signs": "The labels are -1 and 1, and binary accuracy compares them with 0 and 1, so that no sample of the lower "
    "class can count as right: send labels 0 and 1, which hinge losses take too.",
    "class_ids": "It wants class numbers and cuts probabilities down to whole numbers, which are nearly all 0: set "
    "`sparse_y_pred=False`, or use `BinaryIoU` with one unit.",
}


def judge(case: Case) -> Finding | None:
    """Present where a compiled metric or loss cannot mean what it is read as, given the head and the labels."""
    if not case.metrics:
        return None
    worst = max(case.metrics, key=_difference)
    loud = any(_notable(m) for m in case.metrics)
    return Finding(
        0.93 if loud else 0.8,
        "warning" if loud else "info",
        f"The {'' if worst.loss else 'metric '}`{worst.name}` is {worst.value:.4g}; the {worst.fitting_name} is "
        f"{worst.fitting_value:.4g}. {WHY[worst.reason]}{_corrected(worst)}",
        [],
        [Evidence(name=m.name, value=m.value, reference=m.fitting_value, unit=m.fitting_name) for m in case.metrics],
        _difference(worst),
    )


def _difference(m: MetricFacts) -> float:
    apart = abs(m.value - m.fitting_value)
    return apart / max(abs(m.value), abs(m.fitting_value), 1e-9) if m.loss else apart


def _notable(m: MetricFacts) -> bool:
    return _difference(m) > (NOTABLE_LOSS if m.loss else NOTABLE)


def _corrected(m: MetricFacts) -> str:
    if m.printed is None or abs(m.printed - m.value) <= NOTABLE_LOSS * abs(m.value):
        return ""
    return (
        f" Keras itself prints {m.printed:.4g}, since it finds the logits behind the activation and takes those; the "
        "same loss computed from what `predict` gives does not agree with that."
    )
