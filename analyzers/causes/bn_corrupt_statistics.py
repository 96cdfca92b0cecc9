"""Stored statistics that no average of batches can have: NaN, infinite, negative, or absurdly far from the data."""

from __future__ import annotations

import numpy as np

from analyzers.case import Case, Finding, LayerCase
from analyzers.causes._scale import scale_explains
from analyzers.causes._shared import divergence_evidence, loss_evidence, severity_of_gap, share, worst_first
from analyzers.report import Evidence
from analyzers.wording import plural

TITLE = "Stored statistics are corrupt"
SOURCE = "keras-team/keras issues 9646 and 15210: moving statistics run to infinity, NaN or below zero"

ABSURD_KL = (
    50.0  # Nats in one channel while the layer's median channel is below `SOUND_KL`: one outlier, not a cause for all.
)
SOUND_KL = 0.1  # What a channel of a sound layer stays below.
ABSURD_RATIO = 1e4  # A hundred standard deviations to one: beyond any drift of weights in the same layer.


def judge(case: Case) -> Finding | None:
    """Present where channels hold impossible values, or values absurdly far from those of the data."""
    bad = {x.path: channels for x in case.layers if len(channels := corrupt_channels(x, case))}
    if not bad:
        return None
    layers = [x for x in case.layers if x.path in bad]
    impossible = any(len(impossible_channels(x)) for x in layers)
    severity = severity_of_gap(case)
    return Finding(
        0.99 if impossible else 0.9,
        "warning" if severity == "info" and impossible else severity,
        f"In {plural(sum(map(len, bad.values())), 'channel')} of {plural(len(layers), 'layer')} stand statistics that "
        f"no average of batches can have: {_describe(layers[0], bad[layers[0].path][0])}. Outputs may still be "
        "finite, because activations swallow a NaN. Such values survive further training, and recalibrating with "
        "momentum 0 does not remove a NaN (0 * NaN is NaN): reset the statistics first, then recalibrate.",
        worst_first(layers),
        [*_evidence(bad, layers), *divergence_evidence(layers), *loss_evidence(case)],
        max(share(layers, case), 0.0),
    )


def impossible_channels(layer: LayerCase) -> list[int]:
    """Channels whose stored values are not finite, or whose variance is negative."""
    mean, variance = layer.stored.mean, layer.stored.variance
    with np.errstate(invalid="ignore"):
        return [int(i) for i in np.flatnonzero(~np.isfinite(mean) | ~np.isfinite(variance) | (variance < 0))]


def corrupt_channels(layer: LayerCase, case: Case) -> list[int]:
    """Impossible channels, and those absurdly far from the data where their layer or model is otherwise sound."""
    impossible = impossible_channels(layer)
    rest = np.setdiff1d(np.arange(layer.channels), impossible)
    if not layer.uses_batch or not len(rest) or layer.at_start:
        return impossible
    if float(np.median(layer.kl[rest])) > SOUND_KL and not _absurd_layer(layer, case):
        return impossible
    with np.errstate(all="ignore"):
        ratio = (layer.stored.variance + layer.epsilon) / (layer.batch.variance + layer.epsilon)
        far = (ratio > ABSURD_RATIO) | (ratio < 1 / ABSURD_RATIO) | (layer.kl > ABSURD_KL)
    return sorted({*impossible, *(int(i) for i in rest if far[i])})


def _absurd_layer(layer: LayerCase, case: Case) -> bool:
    """One outlier of a sample blows up the variances of a whole layer and leaves all other layers sound."""
    others = [x.figures.kl for x in case.normalizing if x.path != layer.path]
    if scale_explains(case) or (others and float(np.median(others)) > SOUND_KL):
        return False
    return layer.figures.variance_ratio < 1 / ABSURD_RATIO or not np.isfinite(layer.figures.variance_ratio)


def _describe(layer: LayerCase, channel: int) -> str:
    return (
        f"`{layer.path}` channel {channel} stores mean {layer.stored.mean[channel]:.4g} and variance "
        f"{layer.stored.variance[channel]:.4g}, the batch has {layer.batch.mean[channel]:.4g} and "
        f"{layer.batch.variance[channel]:.4g}"
    )


def _evidence(bad: dict[str, list[int]], layers: list[LayerCase]) -> list[Evidence]:
    return [
        Evidence(name="corrupt_channels", value=len(bad[x.path]), unit="channels", reference=x.channels, layer=x.path)
        for x in layers
    ]
