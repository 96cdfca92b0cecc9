"""Do the labels mean what the model's outputs mean, and do they stand beside the samples they belong to?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzers.evaluation import Evaluator
from analyzers.observation import Observer
from analyzers.outputs import Outputs
from analyzers.probes import alignment, renaming
from analyzers.probes.readings import Classes, Reading, Values, decisions, readings, true_classes
from analyzers.symptoms import LabelFacts, Reordered, TargetFacts

MOST_ENTRIES = 1 << 22  # Decisions counted in all: of large maps every so many positions, which are alike.


def facts(observer: Observer, evaluator: Evaluator, inference: Outputs, training: Outputs) -> list[LabelFacts]:
    """One entry for each output that decides between classes, in each row of its last axis."""
    found = []
    for i, (name, labels, read) in enumerate(_labelled(observer, evaluator, inference)):
        truth, coding = _classes(labels, inference[i], read)
        if truth is not None:
            rows, positions = truth.shape
            step = max(1, rows * positions // MOST_ENTRIES)
            decided = [decisions(o[i], read) for o in (inference, training)]
            thin = [(guess[:, ::step], sure[:, ::step]) for guess, sure in decided]
            found.append(_facts(observer, name, truth[:, ::step], thin, max(inference[i].shape[-1], 2), coding))
    return found


def targets(observer: Observer, evaluator: Evaluator, inference: Outputs, training: Outputs) -> list[TargetFacts]:
    """One entry for each output that is fitted to numbers of its own shape."""
    found = []
    for i, (name, labels, read) in enumerate(_labelled(observer, evaluator, inference)):
        output, other = inference[i], training[i]
        if labels.size == output.size and _classes(labels, output, read)[0] is None and read.kind != "softmax":
            found.append(_target(observer, name, labels.reshape(len(labels), -1).astype(np.float64), output, other))
    return found


@dataclass(frozen=True)
class Decided:
    """Decisions of one output: the share of right ones in each sample, and the mean probability that each was given."""

    right: Values
    confidence: float


def decided(observer: Observer, evaluator: Evaluator, outputs: Outputs) -> list[Decided]:
    """One entry for each output that decides between classes."""
    found = []
    for i, (_, labels, read) in enumerate(_labelled(observer, evaluator, outputs)):
        truth, _ = _classes(labels, outputs[i], read)
        if truth is not None:
            guess, sure = decisions(outputs[i], read)
            found.append(Decided((guess == truth).mean(axis=1), float(sure.mean())))
    return found


def _labelled(observer: Observer, evaluator: Evaluator, inference: Outputs) -> list[tuple[str, NDArray[Any], Reading]]:
    labels = observer.batch.y or []
    read = readings(observer.subject.model, evaluator.losses, inference)
    return [(n, np.asarray(y), r) for n, y, r in zip(observer.batch.output_names, labels, read, strict=False)]


def _classes(labels: NDArray[Any], output: Values, read: Reading) -> tuple[Classes | None, tuple[float, float] | None]:
    """Class numbers (samples, positions), and how two classes are written where it is not as 0 and 1."""
    coding = _coding(labels, output, read)
    if coding is not None:
        return (labels == coding[1]).astype(np.intp).reshape(len(labels), -1), coding
    return true_classes(labels, output), None


def _coding(labels: NDArray[Any], output: Values, read: Reading) -> tuple[float, float] | None:
    """The two numbers that labels of one unit have, where its loss takes them to be 0 and 1 and they are not."""
    if output.shape[-1] != 1 or labels.size != output.size or read.loss.family not in ("crossentropy", "none"):
        return None
    values = np.unique(labels)
    if len(values) != 2 or read.kind == "scores" or set(values.tolist()) == {0, 1}:
        return None
    if not np.array_equal(values, np.round(values)):
        return None
    return float(values[0]), float(values[1])


def _facts(
    observer: Observer,
    name: str,
    truth: Classes,
    decided: list[tuple[Classes, Values]],
    size: int,
    coding: tuple[float, float] | None,
) -> LabelFacts:
    (guess, sure), (trained, _) = decided
    new = renaming.best(truth, guess, size, observer.seed)
    shares = [np.bincount(c.ravel(), minlength=size) / truth.size for c in (truth, guess)]
    chance, spread = alignment.at_random(truth, guess, alignment.share_equal, observer.seed)
    accuracy = float(np.mean(guess == truth))
    found = LabelFacts(
        output=name,
        samples=len(truth),
        accuracy=accuracy,
        permuted_accuracy=new.after,
        renaming={int(k): int(new.names[k]) for k in np.unique(guess) if new.names[k] != k},
        rule=new.rule,
        renaming_z=new.z,
        clean=new.clean,
        confirmed=new.confirmed,
        majority=float(shares[0].max()),
        histogram_distance=float(0.5 * np.abs(shares[0] - shares[1]).sum()),
        histogram_error=float(0.4 * np.sum(np.sqrt((shares[0] + shares[1]) / len(truth)))),
        confidence=float(sure.mean()),
        training_accuracy=float(np.mean(trained == truth)),
        training_permuted_accuracy=float(np.mean(new.names[trained] == truth)),
        chance=chance,
        chance_sd=spread,
        coding=coding,
    )
    if not found.at_chance:
        return found
    return replace(found, **_asked_further(observer, truth, guess, alignment.share_equal))


def _target(observer: Observer, name: str, labels: Values, output: Values, other: Values) -> TargetFacts:
    guess, trained = (np.nan_to_num(o.reshape(len(o), -1)) for o in (output, other))
    score = alignment.correlation
    _, spread = alignment.at_random(labels, guess, score, observer.seed)
    deviation = float(np.sqrt(np.mean(np.var(labels, axis=0))))
    unit = deviation or 1.0
    found = TargetFacts(
        output=name,
        samples=len(labels),
        correlation=score(labels, guess),
        training_correlation=score(labels, trained),
        chance_sd=spread,
        spread_ratio=float(np.sqrt(np.mean(np.var(guess, axis=0)))) / unit,
        shift=float(np.sqrt(np.mean(np.square(guess.mean(axis=0) - labels.mean(axis=0))))) / unit,
    )
    return replace(found, **_asked_further(observer, labels, guess, score)) if found.at_chance else found


def _asked_further(
    observer: Observer, labels: NDArray[Any], guess: NDArray[Any], score: alignment.Score
) -> dict[str, Any]:
    """Where labels and predictions agree by chance only: would another order help, and do labels follow the inputs?"""
    words, agreement = alignment.best_order(labels, guess, score)
    near = alignment.follows_inputs(observer.batch.x, labels, score, observer.seed)
    return {"reordered": Reordered(words, agreement), "follows_inputs": near}
