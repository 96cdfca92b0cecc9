"""What one phase scores by other definitions than the compiled one: what else people call accuracy or loss."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzers.evaluation import Evaluator
from analyzers.outputs import Outputs
from analyzers.probes.readings import Reading, Values, decisions, one_hot, readings, true_classes

CUT = 1e-7  # Keras' epsilon: probabilities are kept this far from 0 and 1.


@dataclass(frozen=True)
class Figure:
    """A score and its standard error by the choice of samples."""

    value: float
    error: float


def shares(model: Any, evaluator: Evaluator, outputs: Outputs) -> dict[str, Figure]:
    """What may be called accuracy, by definition in words."""
    found: dict[str, Figure] = {}
    for prefix, labels, output, read in _each(model, evaluator, outputs):
        for words, right in _shares(labels, output, read):
            found[prefix + words] = _share(right)
    return found


def losses(model: Any, evaluator: Evaluator, outputs: Outputs, penalty: float) -> dict[str, Figure]:
    """What may be called loss, by definition in words."""
    found: dict[str, Figure] = {}
    each = evaluator.per_sample(outputs)
    if each is not None:
        found["the loss of the data and the penalties"] = _mean(each + penalty)
        if penalty:
            found["the loss of the data alone, without penalties"] = _mean(each)
    if evaluator.weight is not None and np.any(evaluator.weight > 0):
        plain = Evaluator(evaluator.compiled, evaluator.names, evaluator.y, None).per_sample(outputs)
        if plain is not None:
            found["the loss without sample weights"] = _mean(plain + penalty)
    for prefix, labels, output, read in _each(model, evaluator, outputs):
        other = _loss_read_otherwise(labels, output, read)
        if other is not None:
            found[prefix + other[0]] = _mean(other[1])
    return found


def _each(model: Any, evaluator: Evaluator, outputs: Outputs) -> Iterator[tuple[str, NDArray[Any], Values, Reading]]:
    read = readings(model, evaluator.losses, outputs)
    several = len(evaluator.names) > 1
    for i, name in enumerate(evaluator.names if evaluator.y is not None else []):
        assert evaluator.y is not None
        if outputs[i].ndim > 1 and np.isfinite(outputs[i]).all():
            yield f"of output `{name}`, " if several else "", np.asarray(evaluator.y[i]), outputs[i], read[i]


def _shares(labels: NDArray[Any], output: Values, read: Reading) -> Iterator[tuple[str, NDArray[Any]]]:
    units = output.shape[-1]
    truth = true_classes(labels, output)
    if truth is not None:
        yield "the share of right decisions", decisions(output, read)[0] == truth
        if units == 1 and read.kind == "logits":
            yield "binary accuracy with a threshold of 0.5 on logits", (output.reshape(truth.shape) > 0.5) == truth
        if units > 2:
            hot = np.eye(units)[truth]
            entries = (output.reshape(hot.shape) > 0.5) == (hot > 0.5)
            yield "binary accuracy over the entries of one-hot labels", entries.reshape(len(labels), -1)
    elif labels.shape == output.shape and units > 1 and np.isin(labels, (0, 1)).all() and not one_hot(labels):
        level = 0.0 if read.kind == "logits" else 0.5
        entries = ((output > level) == (labels > 0.5)).reshape(len(labels), -1)
        yield "the share of right entries", entries
        yield "the share of samples with all entries right", entries.all(axis=1)
        first = output.argmax(axis=-1) == labels.argmax(axis=-1)
        yield "accuracy of the largest output only", first.reshape(len(labels), -1)


def _loss_read_otherwise(labels: NDArray[Any], output: Values, read: Reading) -> tuple[str, Values] | None:
    """A crossentropy of probabilities as if they were logits, or of logits as if they were probabilities."""
    truth = true_classes(labels, output)
    if truth is None or read.loss.family != "crossentropy":
        return None
    flat = output.reshape(len(output), -1, output.shape[-1])
    if output.shape[-1] == 1:
        score = flat[..., 0]
        likely = np.clip(score, CUT, 1 - CUT)
        if read.probabilities:
            each = np.logaddexp(0, score) - truth * score
        else:
            each = -np.where(truth == 1, np.log(likely), np.log(1 - likely))
    else:
        own = np.take_along_axis(flat, truth[..., None], axis=-1)[..., 0]
        if read.probabilities:
            each = np.log(np.exp(flat).sum(axis=-1)) - own
        else:
            total = np.where(flat.sum(axis=-1) == 0, 1.0, flat.sum(axis=-1))
            each = -np.log(np.clip(own / total, CUT, 1 - CUT))
    words = (
        "the loss with probabilities taken for logits (`from_logits=True`)"
        if read.probabilities
        else "the loss with logits taken for probabilities (`from_logits=False`)"
    )
    return words, each.mean(axis=-1)


def _share(right: NDArray[Any]) -> Figure:
    """With the standard error of Agresti and Coull (1998), which is not 0 where all are right."""
    each = right.reshape(len(right), -1).mean(axis=1)
    count, value = len(each), float(each.mean())
    likely = (value * count + 2) / (count + 4)
    alone = math.sqrt(likely * (1 - likely) / (count + 4))
    if right.ndim > 1 and right.shape[1] > 1 and count > 1:
        return Figure(value, float(np.std(each, ddof=1)) / math.sqrt(count))
    return Figure(value, alone)


def _mean(each: Values) -> Figure:
    finite = each[np.isfinite(each)]
    if not finite.size:
        return Figure(float("nan"), 0.0)
    error = float(np.std(finite, ddof=1)) / math.sqrt(finite.size) if finite.size > 1 else 0.0
    return Figure(float(finite.mean()), error)
