"""Do the metrics and losses of a model fit what its outputs are? Each computed as it is, and as it would be right.

Only what follows from the configuration and the shapes is named: a threshold of 0.5 on logits, a softmax of a softmax,
entries of a one-hot vector counted for decisions. Whether another metric would be wiser is nobody's business here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras.src.trainers.compile_utils import get_metric
from numpy.typing import NDArray

from analyzers.evaluation import Evaluator, per_output, tensor, with_logits
from analyzers.outputs import Outputs
from analyzers.probes.readings import (
    Reading,
    Values,
    as_probabilities,
    decisions,
    loss_kind,
    one_hot,
    readings,
    true_classes,
)
from analyzers.symptoms import MetricFacts, Misfit

DECISIONS = "share of right decisions"
AT_HALF = ("binaryaccuracy", "precision", "recall", "truepositives", "truenegatives", "falsepositives", "binaryiou")
ON_PROBABILITIES = (*AT_HALF, "falsenegatives", "auc", "precisionatrecall", "recallatprecision", "brierscore")
CLASS_ACCURACIES = ("categoricalaccuracy", "sparsecategoricalaccuracy")


@dataclass(frozen=True)
class Head:
    """One output with its labels and how it is read."""

    name: str
    labels: NDArray[Any]
    output: Values
    logits: Values | None
    read: Reading

    @property
    def units(self) -> int:
        return int(self.output.shape[-1])

    @property
    def right(self) -> float | None:
        """The share of right decisions; None where the labels are no classes."""
        truth = true_classes(self.labels, self.output)
        return None if truth is None else float(np.mean(decisions(self.output, self.read)[0] == truth))

    @property
    def several(self) -> bool:
        """Whether labels of the output's shape are 0 and 1 and not one-hot: each unit decides for itself."""
        same = self.labels.shape == self.output.shape and self.units > 1
        return same and bool(np.isin(self.labels, (0, 1)).all()) and not one_hot(self.labels)


def misfits(model: Any, evaluator: Evaluator, inference: Outputs) -> list[MetricFacts]:
    """All metrics and losses that do not fit, in the order of the outputs."""
    if evaluator.y is None or not all(np.isfinite(o).all() for o in inference):
        return []
    read = readings(model, evaluator.losses, inference)
    found: list[MetricFacts] = []
    for i, name in enumerate(evaluator.names):
        head = Head(name, np.asarray(evaluator.y[i]), inference[i], inference.logits[i], read[i])
        prefix = f"{name}: " if len(evaluator.names) > 1 else ""
        if i < len(evaluator.losses):
            found += _loss(evaluator.losses[i], head, prefix)
        for metric in _metrics(evaluator, i, head):
            found += _metric(metric, head, prefix)
    return found


def _metrics(evaluator: Evaluator, index: int, head: Head) -> Iterator[Any]:
    """The metric objects of one output, with strings resolved as Keras resolves them."""
    names = evaluator.names
    for group in (evaluator.compiled.metrics, evaluator.compiled.weighted_metrics):
        own = per_output(group, names)[index] if len(names) > 1 else group
        for identifier in keras.tree.flatten(own):
            if identifier is not None:
                yield get_metric(identifier, head.labels, head.output)


def _metric(metric: Any, head: Head, prefix: str) -> list[MetricFacts]:
    kind = _kind(metric)
    for misfit, applies in METRIC_RULES.items():
        fitting = applies(metric, kind, head)
        if fitting is not None:
            value = _value(metric, head, head.output, with_attached=True)
            return [MetricFacts(f"{prefix}{metric.name}", value, *fitting, reason=misfit)]
    return []


def _kind(metric: Any) -> str:
    """Class or function of a metric, in lower case and without underscores."""
    function = getattr(metric, "_fn", None)
    wrapped = type(metric).__name__ in ("MeanMetricWrapper", "SumMetricWrapper")
    name = getattr(function, "__name__", "") if wrapped and function is not None else type(metric).__name__
    return name.replace("_", "").lower()


def _value(metric: Any, head: Head, output: Values, *, with_attached: bool = False, **changes: Any) -> float:
    """What a metric of this configuration, with `changes`, gives for `output`."""
    if type(metric).__name__ == "MeanMetricWrapper":
        fresh = keras.metrics.MeanMetricWrapper(functools.partial(metric._fn, **{**metric._fn_kwargs, **changes}))
    else:
        fresh = type(metric).from_config({**metric.get_config(), **changes})
    fresh.update_state(tensor(head.labels), with_logits(output, head.logits if with_attached else None))
    return float(np.mean(keras.ops.convert_to_numpy(fresh.result())))


Fitting = tuple[str, float] | None
"""Name and value of the metric that fits."""


def _decided(head: Head) -> Fitting:
    return None if head.right is None else (DECISIONS, head.right)


def _entries(metric: Any, kind: str, head: Head) -> Fitting:
    wide = head.units > 2 and head.labels.shape == head.output.shape and one_hot(head.labels)
    return _decided(head) if kind == "binaryaccuracy" and wide else None


def _threshold(metric: Any, kind: str, head: Head) -> Fitting:
    if kind not in ON_PROBABILITIES or head.read.kind != "logits":
        return None
    config = metric.get_config()
    at = config.get("threshold", config.get("thresholds"))
    if config.get("from_logits") or not (at is None or (np.ndim(at) == 0 and at == 0.5)):
        return None
    likely = as_probabilities(head.output, head.read.loss.categorical)
    return f"{metric.name} of probabilities", _value(metric, head, likely)


def _twice(metric: Any, kind: str, head: Head) -> Fitting:
    twice = head.read.probabilities and bool(getattr(metric, "from_logits", False))
    return (f"{metric.name} of probabilities", _value(metric, head, head.output, from_logits=False)) if twice else None


def _never(metric: Any, kind: str, head: Head) -> Fitting:
    if not kind.endswith("crossentropy") or getattr(metric, "from_logits", False) or head.read.kind != "logits":
        return None
    return f"{metric.name} of logits", _value(metric, head, head.output, from_logits=True)


def _one_unit(metric: Any, kind: str, head: Head) -> Fitting:
    return _decided(head) if kind in CLASS_ACCURACIES and head.units == 1 else None


def _class_numbers(metric: Any, kind: str, head: Head) -> Fitting:
    numbers = head.units > 1 and head.labels.size * head.units == head.output.size
    return _decided(head) if kind == "categoricalaccuracy" and numbers else None


def _equality(metric: Any, kind: str, head: Head) -> Fitting:
    return _decided(head) if kind == "accuracy" and not _whole(head.output) else None


def _several(metric: Any, kind: str, head: Head) -> Fitting:
    if kind != "categoricalaccuracy" or not head.several or head.read.kind == "softmax":
        return None
    level = 0.0 if head.read.kind == "logits" else 0.5
    return "share of right entries", float(np.mean((head.output > level) == (head.labels > 0.5)))


def _signs(metric: Any, kind: str, head: Head) -> Fitting:
    signs = set(np.unique(head.labels).tolist()) == {-1, 1}
    return _decided(head) if kind == "binaryaccuracy" and signs else None


def _class_ids(metric: Any, kind: str, head: Head) -> Fitting:
    if kind not in ("meaniou", "iou") or not getattr(metric, "sparse_y_pred", False) or _whole(head.output):
        return None
    decided = decisions(head.output, head.read)[0].reshape(head.output.shape[:-1])
    return f"{metric.name} of class numbers", _value(metric, head, decided.astype(np.float64))


def _whole(output: Values) -> bool:
    return bool(np.array_equal(output, np.round(output)))


METRIC_RULES: dict[Misfit, Callable[[Any, str, Head], Fitting]] = {
    "signs": _signs,
    "entries": _entries,
    "threshold": _threshold,
    "twice": _twice,
    "never": _never,
    "one_unit": _one_unit,
    "class_numbers": _class_numbers,
    "equality": _equality,
    "several": _several,
    "class_ids": _class_ids,
}
"""The first that applies is named; each gives what fits instead, or None where it does not apply."""


def _loss(loss: Any, head: Head, prefix: str) -> list[MetricFacts]:
    known = loss_kind(loss)
    if loss is None or known.family != "crossentropy" or (labels := _for_loss(head)) is None:
        return []
    name = f"{prefix}loss"
    as_is = functools.partial(_mean_loss, labels=labels, output=head.output)
    if known.categorical and head.units == 1:
        of_logits = head.read.kind == "logits"
        fitting = as_is(functools.partial(keras.losses.binary_crossentropy, from_logits=of_logits))
        return [MetricFacts(name, as_is(loss), "binary crossentropy", fitting, reason="one_unit", loss=True)]
    twice = known.from_logits and head.read.probabilities
    if not twice and (known.from_logits or head.read.kind != "logits"):
        return []
    other = _with_from_logits(loss, not twice)
    if other is None:
        return []
    printed = _mean_loss(loss, labels, head.output, head.logits)
    what = "the same loss of probabilities" if twice else "the same loss of logits"
    reason: Misfit = "twice" if twice else "never"
    return [MetricFacts(name, as_is(loss), what, as_is(other), reason=reason, loss=True, printed=printed)]


def _for_loss(head: Head) -> NDArray[Any] | None:
    labels = head.labels
    short = labels.ndim == head.output.ndim - 1 and head.units == 1
    return labels[..., None] if short else labels


def _mean_loss(loss: Any, labels: Any, output: Values, logits: Values | None = None) -> float:
    function = keras.losses.get(loss) if not callable(loss) or isinstance(loss, keras.Loss) else loss
    call = function.call if isinstance(function, keras.Loss) else function
    return float(np.mean(keras.ops.convert_to_numpy(call(tensor(labels), with_logits(output, logits)))))


def _with_from_logits(loss: Any, flag: bool) -> Any:
    """The same loss with `from_logits` set; None where it has no such setting."""
    function = keras.losses.get(loss)
    if isinstance(function, keras.Loss):
        config = function.get_config()
        return type(function).from_config({**config, "from_logits": flag}) if "from_logits" in config else None
    return functools.partial(function, from_logits=flag)
