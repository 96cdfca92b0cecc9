"""How divergence runs along the depth of a model: what arises in each layer, what it inherits, and what a fix leaves.

In a training-phase pass each layer's input is normalized by its batch all the way, so that what it diverges by is its
own (`local`). In an inference pass the layers before it pass their errors on (`inherited`). After a fix both are gone
or not, measured on samples that the fix was not computed from.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analyzers.case import LayerCase
from analyzers.measuring import Measured
from analyzers.observation import Observer
from analyzers.report_layers import DepthPoint
from analyzers.statistics import Moments, divergence, mixed
from analyzers.subjects.normalizing import Constants

FEWEST = 8  # Samples; with fewer, halves hold so little that the curve after the fix would show their noise alone.


def picture(observer: Observer, measured: Measured, constants: Mapping[str, Constants]) -> list[DepthPoint]:
    """One point a layer that a pass reached, in order of data flow; `constants` are what the recommended fix stores."""
    layers = [x for x in measured.case.layers if x.calls]
    after = _after(observer, layers, constants) if constants and observer.batch.samples >= FEWEST else {}
    return [
        DepthPoint(path=x.path, local=x.figures.kl, inherited=x.inherited, after_fix=after.get(x.path)) for x in layers
    ]


def _after(observer: Observer, layers: list[LayerCase], constants: Mapping[str, Constants]) -> dict[str, float]:
    """Divergence in an inference pass over one half of the samples, with statistics taken from the other half."""
    order = np.random.default_rng(observer.seed).permutation(observer.batch.samples)
    fitted, judged = (np.sort(half) for half in np.array_split(order, 2))
    given = observer.calibrate(fitted, paths=list(constants))
    run = observer.with_statistics(given, rows=judged, record=True)
    found = {}
    for layer in layers:
        pair = given.get(layer.path)
        stored = layer.stored if pair is None else Moments(*(np.asarray(p, dtype=np.float64) for p in pair))
        found[layer.path] = divergence(mixed(run.seen[layer.path]), stored, layer.epsilon).kl
    return found
