"""One `LayerCase` per batch-normalizing layer, from what the layers saw in both phases."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import keras
import numpy as np

from analyzers import noise
from analyzers.case import LayerCase
from analyzers.observation import Observer, Pass
from analyzers.probes import averaging_clock
from analyzers.statistics import Array, Moments, divergence, kl_per_channel, mixed
from analyzers.subjects.families import axis_of
from analyzers.subjects.keras_model import Site

ROUNDING = 1e-5  # Of a standard deviation: what float32 leaves after dozens of layers.
SILENT = 1e-6  # Channels that vary less are dead in both.


def layer_cases(observer: Observer, inference: Pass, trainings: Sequence[Pass]) -> list[LayerCase]:
    """All batch-normalizing layers in order of data flow, those that no pass reached last.

    `trainings`: passes in the training phase, the first of which is described. The others have other random draws, and
    count where they were recorded: an augmentation that draws once for a whole batch (AugMix, say) moves all of its
    samples together, which their scatter cannot show. A divergence no larger than that of two draws is chance.
    """
    sites = {s.path: s for s in observer.subject.of_kind("batch_normalizing")}
    reached = [p for p in observer.board.order if p in sites]
    recorded = [t for t in trainings if t.seen]
    found = [_measured(observer, inference, recorded, sites[p]) for p in reached]
    return _beyond_chance(found) + [_unreached(s) for p, s in sites.items() if p not in reached]


@dataclass(frozen=True)
class _Judged:
    """A layer's case with the probabilities that chance gives its divergence, and that of each channel."""

    case: LayerCase
    p_value: float
    channel_p_values: Array


def _beyond_chance(found: list[_Judged]) -> list[LayerCase]:
    """Say of each layer and channel whether it is beyond chance, given how many were looked at."""
    active = [j for j in found if j.case.uses_batch]
    layers = dict(zip([j.case.path for j in active], noise.discoveries([j.p_value for j in active]), strict=True))
    ends = np.cumsum([len(j.channel_p_values) for j in active])
    every = np.concatenate([j.channel_p_values for j in active]) if active else np.zeros(0)
    channels = dict(zip(layers, np.split(noise.discoveries(every), ends[:-1]), strict=False)) if active else {}
    return [
        replace(
            j.case,
            discovered=bool(layers.get(j.case.path, False)),
            discovered_channels=np.flatnonzero(channels.get(j.case.path, np.zeros(0))),
        )
        for j in found
    ]


def _measured(observer: Observer, inference: Pass, trainings: Sequence[Pass], site: Site) -> _Judged:
    """What the passes say of one layer; still to be judged among the others."""
    training = trainings[0]
    blank = _unreached(site)
    path, epsilon, seen = site.path, blank.epsilon, training.seen[site.path]
    batch = mixed(seen)
    figures, kl = divergence(batch, blank.stored, epsilon), kl_per_channel(batch, blank.stored, epsilon)
    inherited = divergence(mixed(inference.seen[path]), blank.stored, epsilon).kl - figures.kl
    rng = np.random.default_rng([observer.seed, zlib.crc32(path.encode())])
    sizes = noise.effective_stored_samples(blank.momentum, observer.batch_size)
    drawn = _between_draws([mixed(t.seen[path]) for t in trainings], epsilon)
    laws = [noise.chance(s, epsilon, sizes, rng) for s in seen]
    uses_batch = any(c.used_batch for c in training.calls[0][path])
    case = replace(
        blank,
        calls=len(seen),
        uses_batch=uses_batch,
        batch=batch,
        averaged=_averaged(training, path),
        figures=figures,
        kl=kl,
        noise_floor=max(drawn.kl, *(law.floor for law in laws)),
        detectable=max(law.detectable for law in laws),
        inherited=max(inherited, 0.0) if np.isfinite(inherited) else 0.0,
        at_input=_same(batch, mixed(inference.seen[path])),
        batch_at_inference=any(c.used_batch for c in inference.calls[0].get(path, [])),
        per_step=observer.subject.per_step(path),
        last_step_kl=divergence(mixed(seen[-1:]), blank.stored, epsilon).kl if len(seen) > 1 else None,
    )
    if uses_batch:
        clock = averaging_clock.read(blank.stored, batch, blank.start, blank.momentum, epsilon)
        case = replace(case, clock=clock)
    # Several calls of one layer see other inputs each: only what is beyond chance in all of them counts.
    of_channels = np.max([noise.channel_p_values(s, kl, epsilon, sizes) for s in seen], axis=0)
    p_value = 1.0 if figures.kl <= drawn.kl else max(law.p_value(figures.kl) for law in laws)
    return _Judged(case, p_value, np.where(kl <= drawn.of_channels, 1.0, of_channels))


@dataclass(frozen=True)
class _Drawn:
    """The largest divergence of any two draws from each other, in nats: the layer's mean, and each channel's."""

    kl: float
    of_channels: Array | float


def _between_draws(batches: Sequence[Moments], epsilon: float) -> _Drawn:
    """How far random draws alone move the statistics of one and the same sample; 0 where there is one draw."""
    pairs = list(permutations(batches, 2))
    if not pairs:
        return _Drawn(0.0, 0.0)
    each = np.max([kl_per_channel(a, b, epsilon) for a, b in pairs], axis=0)
    return _Drawn(max(divergence(a, b, epsilon).kl for a, b in pairs), each)


def _same(a: Moments, b: Moments) -> bool:
    """Whether two passes fed a layer the same: dozens of layers of float32 leave `ROUNDING` of a standard deviation."""
    scale = np.sqrt(a.variance) + SILENT
    return bool(
        np.all(np.abs(a.mean - b.mean) <= ROUNDING * scale)
        and np.all(np.abs(a.variance - b.variance) <= ROUNDING * scale**2)
    )


def _averaged(training: Pass, path: str) -> Moments:
    """The mean over batches, and over the layer's calls in each, of the statistics that the training phase applied."""
    pairs = [call.applied for window in training.calls for call in window.get(path, [])]
    mean, variance = (np.mean([np.asarray(p[i], dtype=np.float64) for p in pairs], axis=0) for i in (0, 1))
    return Moments(mean, variance)


def stored_moments(layer: Any) -> Moments:
    """The moving statistics as they stand, float64."""
    return Moments(np.array(layer.moving_mean).astype(np.float64), np.array(layer.moving_variance).astype(np.float64))


def start_moments(layer: Any) -> Moments:
    """What the moving statistics were initialized with; Keras' usual 0 and 1 where a configuration says None, which
    leaves it to chance.
    """
    shape = tuple(int(s) for s in layer.moving_mean.shape)
    usual = {"mean": keras.initializers.Zeros(), "variance": keras.initializers.Ones()}
    made = [(getattr(layer, f"moving_{k}_initializer") or usual[k])(shape, dtype="float32") for k in usual]
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(m)).astype(np.float64) for m in made)
    return Moments(mean, variance)


def _unreached(site: Site) -> LayerCase:
    """A layer of which nothing but its own settings and statistics is known."""
    layer = site.layer
    stored = stored_moments(layer)
    zero = np.zeros_like(stored.mean)
    return LayerCase(
        path=site.path,
        class_name=type(layer).__name__,
        calls=0,
        axis=axis_of(layer),
        momentum=float(layer.momentum),
        epsilon=float(layer.epsilon),
        trainable=bool(layer.trainable),
        uses_batch=False,
        stored=stored,
        batch=stored,
        start=start_moments(layer),
        averaged=stored,
        figures=divergence(stored, stored, float(layer.epsilon)),
        kl=zero,
        noise_floor=0.0,
        detectable=0.0,
        discovered=False,
        discovered_channels=np.zeros(0, dtype=np.intp),
        inherited=0.0,
        clock=None,
    )
