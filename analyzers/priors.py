"""What is known about the statistics before a sample is looked at: the stored ones, as far as their fault leaves them.

A lag is undone by the clock, stored = w * start + (1 - w) * true solved for the true ones with w = momentum^updates,
one number of updates for all layers, since one training step updates them all. It is right as far as the weights stood
still while the averages were taken, so it is a rival to be held against others, never taken on trust. Statistics of
other weights are near the right ones where the edit was small; sound channels of a corrupt layer are right as they are.

Source: the update rule of Ioffe and Szegedy, Batch Normalization (2015), section 3.1; the correction is that of Kingma
and Ba, Adam (2015), section 3.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from analyzers.case import Case, LayerCase
from analyzers.causes._corruption import corrupt_channels
from analyzers.causes._lag import EXPLAINED, agrees
from analyzers.probes.averaging_clock import caught_up
from analyzers.statistics import Moments, average
from analyzers.subjects.normalizing import Constants

LAG, EDITED, CORRUPT = "bn_statistics_unconverged", "bn_statistics_stale", "bn_corrupt_statistics"
CERTAIN_EXCESS = 0.02  # Of the start's own part: what a variance holds beyond it must be more than the clock's error.


@dataclass(frozen=True)
class Prior:
    """Statistics by path, NaN in channels where nothing is known. `updates`: where a lag was undone, of how many.

    `complete`: every channel of every layer is known. `sound`: what is known is right beyond doubt.
    """

    moments: Mapping[str, Moments]
    updates: float | None
    complete: bool
    sound: bool


def prior(case: Case, causes: Collection[str], paths: Collection[str]) -> Prior | None:
    """The prior for the layers at `paths` under the loud `causes`; None where those leave nothing to build on."""
    if not set(causes) & {LAG, EDITED, CORRUPT} or set(causes) - {LAG, EDITED, CORRUPT}:
        return None
    layers = [x for x in case.layers if x.path in paths]
    updates = _updates(case) if LAG in causes else None
    if LAG in causes and (updates is None or not all(_usual_start(x) for x in layers)):
        return None
    moments = {x.path: _known(x, case, updates) for x in layers}
    known = [np.isfinite(m.mean) for m in moments.values()]
    if not known or not any(k.any() for k in known):
        return None
    return Prior(moments, updates, all(bool(k.all()) for k in known), set(causes) == {CORRUPT})


def blend(prior: Mapping[str, Moments], batch: Mapping[str, Constants], share: float) -> dict[str, Constants]:
    """Statistics of a mixture of the prior's population, at weight `share` (0 to 1), and the batch's; by path.

    Law of total variance. Where the prior knows nothing the batch stands alone. With share = k / (k + n) the prior
    counts as k samples beside the n of the batch. Source: Schneider et al., Improving robustness against common
    corruptions by covariate shift adaptation (2020), section 3, who mix means and variances so.
    """
    return {path: _mixture(prior.get(path), pair, share) for path, pair in batch.items()}


def _mixture(known: Moments | None, pair: Constants, share: float) -> Constants:
    if known is None or share == 0.0:
        return pair
    batch = Moments(pair[0].astype(np.float64), pair[1].astype(np.float64))
    both = average([known, batch], [share, 1.0 - share]) if share < 1.0 else known
    usable = np.isfinite(both.mean) & np.isfinite(both.variance)
    return (
        np.where(usable, both.mean, batch.mean).astype(pair[0].dtype),
        np.where(usable, both.variance, batch.variance).astype(pair[1].dtype),
    )


def _updates(case: Case) -> float | None:
    """Updates that the statistics have had: the optimizer's count where the clocks agree with it, else the clocks'."""
    clocks = [x.clock for x in case.normalizing if x.significant and x.clock and x.clock.updates]
    fitting = [c for c in clocks if c.explained > EXPLAINED]
    if not fitting or len(fitting) < len(clocks) / 2:
        return None
    read = statistics.median(c.updates for c in fitting if c.updates is not None)
    counted = case.optimizer_iterations
    return float(counted) if counted is not None and agrees(read, counted) else read


def _known(layer: LayerCase, case: Case, updates: float | None) -> Moments:
    """The layer's stored statistics with the lag undone, NaN where they tell nothing."""
    if layer.at_start:
        return _nothing(layer)
    found, excess = layer.stored, np.ones(layer.channels)
    if updates is not None and 0.0 < layer.momentum < 1.0:
        weight = layer.momentum**updates
        found = caught_up(layer.stored, layer.start, weight)
        with np.errstate(all="ignore"):
            excess = layer.stored.variance / (weight * layer.start.variance) - 1.0
    unknown = ~(excess > CERTAIN_EXCESS) | ~np.isfinite(found.mean + found.variance)
    unknown[corrupt_channels(layer, case)] = True
    return Moments(np.where(unknown, np.nan, found.mean), np.where(unknown, np.nan, found.variance))


def _usual_start(layer: LayerCase) -> bool:
    return bool(np.all(layer.start.mean == 0.0) and np.all(layer.start.variance == 1.0))


def _nothing(layer: LayerCase) -> Moments:
    empty = np.full(layer.channels, np.nan)
    return Moments(empty, empty)
