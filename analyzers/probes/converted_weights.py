"""Were gamma and beta swapped, or another framework's epsilon lost, when weights were converted? Tried on the model.

Either leaves the statistics as they were and changes what the layers make of them, so that the layers behind find other
inputs than they stored, which looks like statistics of other weights. With the conversion undone all layers agree with
what they stored.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from analyzers.case import ConvertedTrial, LayerCase
from analyzers.observation import Observer
from analyzers.statistics import divergence, mixed
from analyzers.switchboard import Setting

EPSILONS = (1e-3, 1e-5, 1e-4, 1e-6)  # Keras', PyTorch's and JAX' with Flax, and what papers and other ports use.
MATTERS = 100.0  # Times epsilon: beyond this variance no epsilon changes what a layer does by half a per cent.
MOST_NATS = 10.0  # A layer that is off by more says no more.


def trial(observer: Observer, layers: Sequence[LayerCase]) -> ConvertedTrial | None:
    """The conversion that, undone, leaves the least divergence; None where none is plausible."""
    sites = [s.layer for s in observer.subject.of_kind("batch_normalizing") if hasattr(s.layer, "gamma")]
    before = _mean([x.figures.kl for x in layers])
    tried = []
    if sites and _swapped(sites):
        tried.append(("gamma and beta are swapped", "swap gamma and beta back", _try_swapped(observer, layers, sites)))
    small = [x for x in layers if float(np.median(x.stored.variance)) < MATTERS * max(x.epsilon, *EPSILONS)]
    if sites and small:
        for epsilon in (e for e in EPSILONS if not np.isclose(e, layers[0].epsilon)):
            what = f"epsilon is {layers[0].epsilon:g}, and the weights were trained with {epsilon:g}"
            tried.append((what, f"set epsilon={epsilon:g}", _try_epsilon(observer, layers, sites, epsilon)))
    if not tried:
        return None
    what, undo, after = min(tried, key=lambda t: t[2])
    return ConvertedTrial(what, undo, before, after)


def _swapped(sites: Sequence[Any]) -> bool:
    """Whether gammas lie nearer to where betas start, and betas nearer to where gammas do."""
    both = [s for s in sites if s.gamma is not None and s.beta is not None]
    if not both:
        return False
    gamma = float(np.median(np.concatenate([np.array(s.gamma) for s in both])))
    beta = float(np.median(np.concatenate([np.array(s.beta) for s in both])))
    return abs(beta - 1.0) + abs(gamma) < abs(beta) + abs(gamma - 1.0)


def _try_swapped(observer: Observer, layers: Sequence[LayerCase], sites: Sequence[Any]) -> float:
    both = [s for s in sites if s.gamma is not None and s.beta is not None]
    kept = [(s, np.array(s.gamma), np.array(s.beta)) for s in both]
    try:
        for site, gamma, beta in kept:
            site.gamma.assign(beta)
            site.beta.assign(gamma)
        return _left(observer, layers)
    finally:
        for site, gamma, beta in kept:
            site.gamma.assign(gamma)
            site.beta.assign(beta)


def _try_epsilon(observer: Observer, layers: Sequence[LayerCase], sites: Sequence[Any], epsilon: float) -> float:
    with _epsilon(sites, epsilon):
        return _left(observer, layers)


@contextlib.contextmanager
def _epsilon(sites: Sequence[Any], epsilon: float) -> Iterator[None]:
    kept = [(s, s.epsilon) for s in sites]
    try:
        for site in sites:
            site.epsilon = epsilon
        yield
    finally:
        for site, value in kept:
            site.epsilon = value


def _left(observer: Observer, layers: Sequence[LayerCase]) -> float:
    """Mean divergence over layers in a training-phase pass with the model as it stands."""
    run = observer.run(Setting(training=True, record=True))
    return _mean([divergence(mixed(run.seen[x.path]), x.stored, x.epsilon).kl for x in layers])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(np.minimum(values, MOST_NATS)))
