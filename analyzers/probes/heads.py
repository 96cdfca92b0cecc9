"""What the outputs are like: do they vary, in what range, and do loss and metrics fit them?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from analyzers.evaluation import Compiled, per_output
from analyzers.outputs import Outputs
from analyzers.probes.labels import predicted_classes, true_classes
from analyzers.symptoms import HeadFacts, MetricFacts

BINARY = ("binary_accuracy", "accuracy", "acc")


def heads(names: Sequence[str], inference: Outputs, training: Outputs) -> list[HeadFacts]:
    """Facts of each output."""
    return [_head(name, *pair) for name, *pair in zip(names, inference, training, strict=True)]


def _head(name: str, inference: Any, training: Any) -> HeadFacts:
    values = np.where(np.isfinite(inference), inference, np.nan).reshape(len(inference), -1)
    some = values[np.isfinite(values)]
    low, high = (float(some.min()), float(some.max())) if some.size else (float("nan"), float("nan"))
    return HeadFacts(name, int(values.shape[1]), max(_variation(inference), _variation(training)), low, high)


def _variation(output: Any) -> float:
    values = output.reshape(len(output), -1)
    if not np.isfinite(values).all():
        return float("nan")
    size = float(np.sqrt(np.mean(np.square(values))))
    return float(np.sqrt(np.mean(np.var(values, axis=0)))) / size if size else 0.0


def misfits(compiled: Compiled, names: Sequence[str], labels: Sequence[Any], inference: Outputs) -> list[MetricFacts]:
    """Metrics that count decisions in a way that the head does not make them."""
    found = []
    metrics = per_output(compiled.metrics, list(names)) if len(names) > 1 else [compiled.metrics]
    for i, name in enumerate(names):
        truth = true_classes(np.asarray(labels[i]), inference[i])
        if truth is None:
            continue
        right = float(np.mean(predicted_classes(inference[i])[0] == truth))
        for metric in _names(metrics[i]):
            printed = _as_printed(metric, np.asarray(labels[i]), inference[i])
            if printed is not None:
                found.append(MetricFacts(f"{name}: {metric}", printed, "share of right decisions", right))
    return found


def _names(metrics: Any) -> list[str]:
    flat = keras.tree.flatten(metrics) if metrics is not None else []
    return [m if isinstance(m, str) else str(getattr(m, "name", "")) for m in flat]


def _as_printed(metric: str, labels: Any, output: Any) -> float | None:
    """What the metric prints where it counts something else than decisions; None where it counts them."""
    units = output.shape[1]
    if units > 1 and metric == "binary_accuracy" and labels.shape == output.shape:
        return float(np.mean((output > 0.5) == (labels > 0.5)))
    logits = bool(output.min() < 0 or output.max() > 1)
    if units == 1 and metric in BINARY and logits:
        return float(np.mean((output[:, 0] > 0.5) == (labels.reshape(-1) > 0.5)))
    return None
