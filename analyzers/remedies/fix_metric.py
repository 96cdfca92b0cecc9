"""A metric that counts what the head decides."""

from __future__ import annotations

from analyzers.case import Case, Finding

TITLE = "Use a metric that fits the output"
TREATS = ("metric_mismatch",)
WHAT = (
    "Compiles with the metric or loss that fits the output and the labels: `categorical_accuracy` for one-hot labels, "
    "`sparse_categorical_accuracy` for class numbers, a threshold of 0 for a logit. No weight is touched."
)


def explain(case: Case, finding: Finding) -> str:
    """What to change."""
    return (
        "Compile with the metric that fits the head: `categorical_accuracy` for one-hot labels, "
        "`sparse_categorical_accuracy` for class numbers, `BinaryAccuracy(threshold=0.0)` for a single logit. The "
        "weights are not touched by this."
    )


def snippet(case: Case) -> str | None:
    """Code to paste."""
    return (
        "model.compile(loss=model.loss, metrics=[keras.metrics.CategoricalAccuracy()])  # for one-hot labels\n"
        "model.compile(loss=model.loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])  # for a logit\n"
    )
