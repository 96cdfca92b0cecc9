"""Do the labels mean what the model's classes mean? Counted on the inference phase, with no model at hand.

A renaming of classes is an assignment problem on the confusion matrix (Kuhn 1955). Found and counted on the same
samples it always looks good where classes are many, so it is found on one half and counted on the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from analyzers.outputs import Outputs
from analyzers.symptoms import LabelFacts

Classes = NDArray[np.intp]


def facts(
    names: Sequence[str], labels: Sequence[Any], inference: Outputs, training: Outputs, seed: int
) -> list[LabelFacts]:
    """One entry for each output of shape (samples, classes) or (samples, 1) whose labels are classes."""
    found = []
    for i, name in enumerate(names):
        truth = true_classes(np.asarray(labels[i]), inference[i])
        if truth is not None:
            found.append(_facts(name, truth, inference[i], training[i], seed))
    return found


def true_classes(labels: NDArray[Any], output: NDArray[np.float64]) -> Classes | None:
    """Labels as class numbers (samples,), or None where they are none: regression, masks, several labels each."""
    if output.ndim != 2:
        return None
    units = output.shape[1]
    if units > 1 and labels.shape == output.shape:
        one_hot = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
        return labels.argmax(axis=1) if one_hot else None
    flat = labels.reshape(len(labels), -1)
    if flat.shape[1] != 1 or not np.array_equal(flat, np.round(flat)):
        return None
    classes = flat[:, 0].astype(np.intp)
    return classes if classes.min() >= 0 and classes.max() < max(units, 2) else None


def predicted_classes(output: NDArray[np.float64]) -> tuple[Classes, NDArray[np.float64]]:
    """The decision for each sample and the probability that it was given."""
    finite = np.nan_to_num(output, nan=0.0, posinf=1e6, neginf=-1e6)
    if output.shape[1] == 1:
        score = finite[:, 0]
        probable = score if score.min() >= 0 and score.max() <= 1 else 1 / (1 + np.exp(-np.clip(score, -50, 50)))
        return (probable > 0.5).astype(np.intp), np.maximum(probable, 1 - probable)
    if finite.min() < 0 or finite.max() > 1 + 1e-6:
        odds = np.exp(finite - finite.max(axis=1, keepdims=True))
        finite = odds / odds.sum(axis=1, keepdims=True)
    return finite.argmax(axis=1), finite.max(axis=1)


def _facts(name: str, truth: Classes, inference: Any, training: Any, seed: int) -> LabelFacts:
    guess, confidence = predicted_classes(inference)
    size = max(inference.shape[1], 2)
    order = np.random.default_rng(seed).permutation(len(truth))
    halves = np.array_split(order, 2)
    right = 0
    for fitted, counted in (halves, halves[::-1]):
        renaming = _renaming(truth[fitted], guess[fitted], size)
        right += int(np.sum(renaming[guess[counted]] == truth[counted]))
    whole = _renaming(truth, guess, size)
    histograms = [np.bincount(c, minlength=size) / len(truth) for c in (truth, guess)]
    return LabelFacts(
        output=name,
        accuracy=float(np.mean(guess == truth)),
        permuted_accuracy=right / len(truth),
        renaming={int(k): int(whole[k]) for k in np.unique(guess) if whole[k] != k},
        majority=float(histograms[0].max()),
        histogram_distance=float(0.5 * np.abs(histograms[0] - histograms[1]).sum()),
        confidence=float(confidence.mean()),
        training_accuracy=float(np.mean(predicted_classes(training)[0] == truth)),
    )


def _renaming(truth: Classes, guess: Classes, size: int) -> Classes:
    """The one-to-one renaming of predicted classes that agrees with the truth most often; (size,)."""
    confusion = np.zeros((size, size))
    np.add.at(confusion, (guess, truth), 1)
    confusion += 1e-6 * np.eye(size)  # among equals, a class keeps its name
    return np.asarray(linear_sum_assignment(confusion, maximize=True)[1], dtype=np.intp)
