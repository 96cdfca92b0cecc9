"""Is there a renaming of the classes under which the model is right? An assignment problem on the confusion matrix.

Found and counted on the same samples the best renaming always looks good where classes are many, so it is found on
nine tenths of the samples and counted on the last one. The usual ones (numbers moved on, in reverse, listed like words)
leave nothing to fit and are counted on all samples. Source: Kuhn, The Hungarian Method for the Assignment Problem
(1955).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Classes = NDArray[np.intp]

FOLDS = 10
AS_GOOD = 0.03  # A usual renaming is preferred to a fitted one that is no better than this.
SEEN = 2  # Decisions for a class, and samples of it, before anything is said of that class.
MOSTLY = 0.5  # Of the decisions for a class, and of the samples of the class that it is renamed to.


@dataclass(frozen=True)
class Renaming:
    """`names[c]` is the label's number for the model's class c. `rule` says which usual renaming it is, if any.

    `after` is the share of right decisions with it, `z` how far that is above the share without, in standard errors of
    the paired difference. Of the decisions for classes that get another name the share `clean` is right then;
    `confirmed` counts such classes that most of their decisions and most of their samples bear out.
    """

    names: Classes
    rule: str | None
    after: float
    z: float
    clean: float
    confirmed: int


def best(truth: Classes, guess: Classes, size: int, seed: int) -> Renaming:
    """The best renaming of predicted classes; `truth` and `guess` (samples, positions), numbers below `size`."""
    fitted = _assigned(truth, guess, size)
    counted, known = _cross_fitted(truth, guess, size, seed)
    usual = {rule: names[guess] for rule, names in _usual(size).items()}
    rule = max(usual, key=lambda r: float(np.mean(usual[r] == truth)), default=None)
    if rule is not None and np.mean(usual[rule] == truth) > np.mean(counted == truth) - AS_GOOD:
        fitted, counted, known = _usual(size)[rule], usual[rule], np.ones_like(known)
    else:
        rule = None
    moved = (fitted[guess] != guess) & known
    clean = float(np.mean((counted == truth)[moved])) if moved.any() else 0.0
    gain = np.mean(counted == truth, axis=1) - np.mean(guess == truth, axis=1)
    size_of_gain = float(np.sqrt(np.sum(np.square(gain))))
    return Renaming(
        fitted,
        rule,
        float(np.mean(counted == truth)),
        float(np.sum(gain)) / size_of_gain if size_of_gain else 0.0,
        clean,
        _confirmed(truth, guess, fitted),
    )


def _usual(size: int) -> dict[str, Classes]:
    """Renamings that have a name, (size,) each."""
    own = np.arange(size)
    if size == 2:
        return {"the two classes are exchanged": own[::-1]}
    found = {_moved_on(s, size): (own + s) % size for s in range(1, size)}
    found["the numbers run in reverse"] = own[::-1]
    if size > 10:  # From 10 on the order of words is another than that of numbers: 1, 10, 11, 2.
        for first in (0, 1):
            listed = np.array([n - first for n in sorted(range(first, size + first), key=str)], dtype=np.intp)
            found[f"the model's classes, from {first} on, were listed like words: 10 before 2"] = listed
            found[f"the labels' classes, from {first} on, were listed like words: 10 before 2"] = np.argsort(listed)
    return found


def _moved_on(step: int, size: int) -> str:
    by = step if step <= size // 2 else step - size
    return f"each label is {abs(by)} {'more' if by > 0 else 'less'} than the model's class"


def _assigned(truth: Classes, guess: Classes, size: int) -> Classes:
    confusion = np.zeros((size, size))
    np.add.at(confusion, (guess.ravel(), truth.ravel()), 1)
    confusion += 1e-6 * np.eye(size)  # among equals, a class keeps its name
    return np.asarray(linear_sum_assignment(confusion, maximize=True)[1], dtype=np.intp)


def _cross_fitted(truth: Classes, guess: Classes, size: int, seed: int) -> tuple[Classes, NDArray[np.bool_]]:
    """Decisions renamed by what the other samples say, and for which of them others said anything."""
    counted, known = guess.copy(), np.zeros(guess.shape, dtype=bool)
    for part in np.array_split(np.random.default_rng(seed).permutation(len(truth)), min(FOLDS, len(truth))):
        rest = np.setdiff1d(np.arange(len(truth)), part)
        if rest.size:
            counted[part] = _assigned(truth[rest], guess[rest], size)[guess[part]]
            known[part] = np.isin(guess[part], guess[rest])
    return counted, known


def _confirmed(truth: Classes, guess: Classes, names: Classes) -> int:
    count = 0
    for decided, named in enumerate(names):
        if decided == named:
            continue
        chosen, wanted = guess == decided, truth == named
        both = int(np.sum(chosen & wanted))
        most = both > MOSTLY * max(int(chosen.sum()), int(wanted.sum()))
        count += int(both >= SEEN and most)
    return count
