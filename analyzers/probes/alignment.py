"""Do labels belong to the samples beside them? Tried by pairing them otherwise, and by asking the samples' neighbours.

Agreement is held against what the same labels and the same decisions give when paired at random: that is what shuffled
labels look like, whatever the classes' proportions. Labels that follow the inputs, so that neighbours share them more
often than chance has it, were not shuffled, however wrong the model is (the test of Schilling, Multivariate Two-Sample
Tests Based on Nearest Neighbors, 1986, against permutations).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzers.batches.lazy import Samples, every, least_and_most
from analyzers.statistics import Array

PAIRINGS = 200  # Random pairings: their spread is known to 5 %.
FEATURES = 4096  # Values of a sample that its distance to others is taken from, evenly spread.
NEIGHBOURS = 3
MOST_SAMPLES = 512  # Beyond this neither neighbours nor shifts need more: a tenth of a correlation shows.
WORDS = 1024  # Whole numbers may be tokens, told by presence and not by size; so many of them are told apart.
POSITIONS = 1024  # Positions of a map or sequence that are compared, evenly spread.

TEXT = "SUO"  # NumPy's kinds of arrays that hold text.

Score = Callable[[NDArray[Any], NDArray[Any]], float]
"""How well labels and predictions agree, (samples, ...) each in the same order; higher is better."""


def share_equal(labels: NDArray[Any], decisions: NDArray[Any]) -> float:
    """Share of equal entries."""
    equal = labels == decisions
    return float(np.count_nonzero(equal) / max(1, np.size(equal)))  # a mean of so few takes five times as long


def correlation(labels: NDArray[Any], predictions: NDArray[Any]) -> float:
    """Of all values with each column's mean taken out, so that columns of different level do not agree by that."""
    a, b = labels - labels.mean(axis=0), predictions - predictions.mean(axis=0)
    size = float(np.sqrt(np.sum(np.square(a)) * np.sum(np.square(b))))
    return float(np.sum(a * b)) / size if size else 0.0


def at_random(labels: NDArray[Any], predictions: NDArray[Any], score: Score, seed: int) -> tuple[float, float]:
    """Mean and standard deviation of the score when labels and predictions are paired at random."""
    rng = np.random.default_rng(seed)
    a, b = thinned(labels), thinned(predictions)
    scores = [score(a[rng.permutation(len(a))], b) for _ in range(PAIRINGS)]
    return float(np.mean(scores)), float(np.std(scores))


def thinned(values: NDArray[Any]) -> NDArray[Any]:
    """(samples, positions) with no more positions than `POSITIONS`."""
    flat = values.reshape(len(values), -1)
    return flat[:, :: max(1, flat.shape[1] // POSITIONS)]


def best_order(labels: NDArray[Any], predictions: NDArray[Any], score: Score) -> tuple[str, float]:
    """The other order of the labels that agrees best, of all shifts and the reverse, in words, and its score."""
    a, b = thinned(labels), thinned(predictions)
    count = len(a)
    reach = range(1, count) if count <= MOST_SAMPLES else [*range(1, 65), *range(count - 64, count)]
    tried = {_shift(s, count): score(np.roll(a, s, axis=0), b) for s in reach}
    tried["in reverse order"] = score(a[::-1], b)
    words = max(tried, key=lambda k: tried[k])
    return words, tried[words]


def _shift(rows: int, count: int) -> str:
    down = rows if rows <= count // 2 else rows - count
    return f"moved by {abs(down)} row{'s' if abs(down) > 1 else ''} {'down' if down > 0 else 'up'}"


def follows_inputs(x: Sequence[Samples], labels: NDArray[Any], score: Score, seed: int) -> float:
    """How much better nearest neighbours agree in their labels than by chance, in standard deviations of chance.

    The larger figure where samples can be compared in two ways, by value and by which numbers or words they hold.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(labels))[:MOST_SAMPLES])
    if len(rows) <= NEIGHBOURS + 1:
        return 0.0
    texts = [a for a in x if a.dtype.kind in TEXT]
    numbers = [a for a in x if a.dtype.kind not in TEXT]
    views = [np.concatenate([_values(a[rows]) for a in numbers], axis=1)] if numbers else []
    held = [_said(a[rows]) for a in texts]
    if all(_tokens(a) for a in numbers):
        held += [_present(a[rows]) for a in numbers]
    if held:
        views.append(np.concatenate(held, axis=1))
    y = thinned(labels[rows])
    return max(_coincidence(_nearest(view), y, score, seed) for view in views)


def _coincidence(near: NDArray[np.intp], y: NDArray[Any], score: Score, seed: int) -> float:
    rng = np.random.default_rng(seed)

    def shared(labels: NDArray[Any]) -> float:
        return sum(score(labels[near[:, k]], labels) for k in range(NEIGHBOURS)) / NEIGHBOURS

    seen = shared(y)
    drawn = [shared(y[rng.permutation(len(y))]) for _ in range(PAIRINGS)]
    spread = float(np.std(drawn))
    return float(seen - np.mean(drawn)) / spread if spread > 0 else 0.0


def _tokens(x: Samples) -> bool:
    if x.ndim != 2 or x.dtype.kind not in "fiu" or not x.size:
        return False
    low, high = least_and_most(x)
    return bool(low >= 0 and high > 2) and every(x, lambda rows: np.all(rows == np.round(rows)))


def _said(x: NDArray[Any]) -> Array:
    """Which words a sample's text holds, (samples, WORDS), folded over by a hash."""
    found = np.zeros((len(x), WORDS))
    for row, texts in zip(found, x.reshape(len(x), -1), strict=True):
        for text in texts:
            raw = text if isinstance(text, bytes) else str(text).encode()
            row[[zlib.crc32(word) % WORDS for word in raw.lower().split()]] = 1.0
    return found


def _present(x: NDArray[Any]) -> Array:
    """Which numbers a sample holds, (samples, WORDS), numbers beyond folded over."""
    found = np.zeros((len(x), WORDS))
    found[np.arange(len(x))[:, None], x.astype(np.int64) % WORDS] = 1.0
    return found


def _values(x: NDArray[Any]) -> Array:
    """(samples, features), each of unit spread."""
    flat = x.reshape(len(x), -1)
    flat = np.nan_to_num(flat[:, :: max(1, flat.shape[1] // FEATURES)].astype(np.float64), posinf=0.0, neginf=0.0)
    spread = flat.std(axis=0)
    kept = spread > 0
    return np.asarray((flat[:, kept] - flat[:, kept].mean(axis=0)) / spread[kept])


def _nearest(features: Array) -> NDArray[np.intp]:
    """The nearest other samples of each, (samples, neighbours), nearest first."""
    squares = np.sum(np.square(features), axis=1)
    distance = squares[:, None] + squares[None, :] - 2 * features @ features.T
    np.fill_diagonal(distance, np.inf)
    return np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]
