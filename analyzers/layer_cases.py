"""One `LayerCase` per batch-normalizing layer, from what the layers saw in both phases."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from analyzers.case import LayerCase
from analyzers.observation import Observer, Pass
from analyzers.probes import averaging_clock
from analyzers.statistics import (
    Moments,
    divergence,
    effective_stored_samples,
    kl_per_channel,
    mixed,
    noise_floor,
)
from analyzers.subjects.keras_model import Site


def layer_cases(observer: Observer, inference: Pass, training: Pass) -> list[LayerCase]:
    """All batch-normalizing layers in order of data flow, those that no pass reached last."""
    sites = {s.path: s for s in observer.subject.of_kind("batch_normalizing")}
    reached = [p for p in observer.board.order if p in sites]
    return list(_cases(observer, inference, training, [sites[p] for p in reached])) + [
        _unreached(s) for p, s in sites.items() if p not in reached
    ]


def _cases(observer: Observer, inference: Pass, training: Pass, sites: list[Site]) -> Iterator[LayerCase]:
    for site in sites:
        layer, path = site.layer, site.path
        stored, start = stored_moments(layer), start_moments(layer)
        seen = training.seen[path]
        batch = mixed(seen)
        epsilon = float(layer.epsilon)
        uses_batch = any(c.used_batch for c in training.calls[0][path])
        figures = divergence(batch, stored, epsilon)
        inherited = divergence(mixed(inference.seen[path]), stored, epsilon).kl - figures.kl
        rng = np.random.default_rng([observer.seed, zlib.crc32(path.encode())])
        sizes = effective_stored_samples(layer.momentum, observer.batch_size)
        yield LayerCase(
            path=path,
            class_name=type(layer).__name__,
            calls=len(seen),
            axis=layer.axis,
            momentum=float(layer.momentum),
            epsilon=epsilon,
            trainable=bool(layer.trainable),
            uses_batch=uses_batch,
            stored=stored,
            batch=batch,
            start=start,
            figures=figures,
            kl=kl_per_channel(batch, stored, epsilon),
            noise_floor=max(noise_floor(s, epsilon, sizes, rng) for s in seen),
            inherited=max(inherited, 0.0) if np.isfinite(inherited) else 0.0,
            batch_at_inference=any(c.used_batch for c in inference.calls[0].get(path, [])),
            per_step=observer.subject.per_step(path),
            last_step_kl=divergence(mixed(seen[-1:]), stored, epsilon).kl if len(seen) > 1 else None,
            clock=averaging_clock.read(stored, batch, start, float(layer.momentum), epsilon) if uses_batch else None,
        )


def stored_moments(layer: Any) -> Moments:
    """The moving statistics as they stand, float64."""
    return Moments(np.array(layer.moving_mean).astype(np.float64), np.array(layer.moving_variance).astype(np.float64))


def start_moments(layer: Any) -> Moments:
    """What the moving statistics were initialized with."""
    shape = tuple(int(s) for s in layer.moving_mean.shape)
    made = [getattr(layer, f"moving_{k}_initializer")(shape, dtype="float32") for k in ("mean", "variance")]
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(m)).astype(np.float64) for m in made)
    return Moments(mean, variance)


def _unreached(site: Site) -> LayerCase:
    layer = site.layer
    stored = stored_moments(layer)
    zero = np.zeros_like(stored.mean)
    return LayerCase(
        path=site.path,
        class_name=type(layer).__name__,
        calls=0,
        axis=layer.axis,
        momentum=float(layer.momentum),
        epsilon=float(layer.epsilon),
        trainable=bool(layer.trainable),
        uses_batch=False,
        stored=stored,
        batch=stored,
        start=start_moments(layer),
        figures=divergence(stored, stored, float(layer.epsilon)),
        kl=zero,
        noise_floor=0.0,
        inherited=0.0,
        clock=None,
    )
