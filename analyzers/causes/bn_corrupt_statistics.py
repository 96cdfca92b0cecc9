"""Stored statistics that no average of batches can have: NaN, infinite, negative, or absurdly far from the data."""

from __future__ import annotations

import numpy as np

from analyzers.case import Case, Finding, LayerCase
from analyzers.causes._conversion import best_conversion
from analyzers.causes._corruption import absurd, corrupt_channels, impossible_channels
from analyzers.causes._shared import divergence_evidence, loss_evidence, severity_of_gap, share, worst_first
from analyzers.report import Evidence
from analyzers.wording import plural

TITLE = "Stored statistics are corrupt"
SOURCE = "keras-team/keras issues 9646 and 15210: moving statistics run to infinity, NaN or below zero"
WHAT = (
    "A moving average of batches is finite, its variance is not negative, and it lies where the batches lay. Values "
    "that break this came from somewhere else: a NaN or infinity in one step that the average kept for good (0 times "
    "NaN is NaN), an overflow in half precision, a batch with one value a channel, a variance that cancellation made "
    "negative, one wild sample at a momentum that lets it stay. Outputs can be finite all the same, because an "
    "activation swallows a NaN or the channel matters little."
)
LOOKS = (
    "Layers with status `corrupt`: single channels that store NaN, infinity, a negative variance, exactly 0 where the "
    "data vary, or values orders of magnitude from what the rest of the layer would expect."
)
EVIDENCE = {
    "corrupt_channels": (
        "Channels of a layer with values that no average of batches can have. Held against the number of its channels."
    ),
}
LOOK_ALIKES = {
    "bn_conversion_mismatch": (
        "Swapped statistics can be negative where a variance should stand, but follow one rule in all layers; then "
        "that cause is named."
    ),
    "input_scaling_mismatch": (
        "Inputs in other units move all channels of the first layer alike; corruption sits in single ones."
    ),
    "bn_statistics_stale": (
        "Drift of the weights moves many channels by little, not one by a hundred standard deviations."
    ),
}


def judge(case: Case) -> Finding | None:
    """Present where channels hold impossible values, or values absurdly far from those of the data."""
    bad = {x.path: channels for x in case.layers if len(channels := corrupt_channels(x, case))}
    if not bad or _converted(case):
        return None
    layers = [x for x in case.layers if x.path in bad]
    impossible = any(len(impossible_channels(x)) for x in layers)
    severity = severity_of_gap(case)
    return Finding(
        0.99 if impossible else 0.95,
        "warning" if severity == "info" and (impossible or any(absurd(x) for x in layers)) else severity,
        f"In {plural(sum(map(len, bad.values())), 'channel')} of {plural(len(layers), 'layer')} stand statistics that "
        f"no average of batches can have: {_describe(layers[0], bad[layers[0].path][0])}. Outputs may still be "
        "finite, because activations swallow a NaN. Such values survive further training, and recalibrating with "
        "momentum 0 does not remove a NaN (0 * NaN is NaN): reset the statistics first, then recalibrate.",
        worst_first(layers),
        [*_evidence(bad, layers), *divergence_evidence(layers), *loss_evidence(case)],
        max(share(layers, case), 0.0),
    )


def _converted(case: Case) -> bool:
    """Whether a wrong conversion says where the values come from: a mean that stands for a variance may be negative."""
    finite = all(np.isfinite(x.stored.mean).all() and np.isfinite(x.stored.variance).all() for x in case.layers)
    return finite and best_conversion(case) is not None


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
