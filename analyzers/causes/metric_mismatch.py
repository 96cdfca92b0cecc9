"""The metric counts something else than the decisions of the head."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence
from analyzers.symptoms import MetricFacts

TITLE = "The metric does not fit the model's output"
SOURCE = "Keras' binary_accuracy counts entries of a one-hot vector, and takes 0.5 as threshold also on logits"

NOTABLE = 0.02  # Difference from the share of right decisions that is worth naming.


def judge(case: Case) -> Finding | None:
    """Present where a compiled metric differs from what it is read as."""
    wrong = [m for m in case.metrics if abs(m.value - m.fitting_value) > NOTABLE]
    if not wrong:
        return None
    m = max(wrong, key=lambda w: abs(w.value - w.fitting_value))
    return Finding(
        0.92,
        "warning",
        f"The metric `{m.name}` prints {m.value:.4g}; the {m.fitting_name} is {m.fitting_value:.4g}. {_why(m)}",
        [],
        [Evidence(name=w.name, value=w.value, reference=w.fitting_value) for w in wrong],
        abs(m.value - m.fitting_value),
    )


def _why(m: MetricFacts) -> str:
    if m.value > m.fitting_value:
        return (
            "On one-hot labels binary accuracy counts the entries of the vector, most of which are rightly near 0 "
            "whatever the model says: use `categorical_accuracy`."
        )
    return (
        "The head gives logits, not probabilities, and the metric's threshold is 0.5: use "
        "`keras.metrics.BinaryAccuracy(threshold=0.0)`, or a sigmoid at the end."
    )
