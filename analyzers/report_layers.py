"""The layers' part of the report: divergence, channels, the depth curve and the contest of explanations."""

from __future__ import annotations

from typing import Literal

from analyzers.report_base import Number, Part

LayerStatus = Literal["ok", "divergent", "lagging", "never_updated", "corrupt", "frozen", "not_reached"]


class ChannelDivergence(Part):
    """One channel of a layer: stored against batch statistics."""

    channel: int
    kl: Number
    significant: bool = False
    stored_mean: Number
    batch_mean: Number
    stored_variance: Number
    batch_variance: Number


class Divergence(Part):
    """Stored statistics against those of the batch in a training-phase pass, averaged over channels.

    `kl` is KL(batch || stored) of two normal distributions, in nats; `mean_shift_sd` is the root mean square over
    channels of the difference of the means in stored standard deviations; `variance_ratio` the geometric mean of batch
    over stored; `wasserstein2` the root mean square Wasserstein-2 distance in stored standard deviations.
    """

    kl: Number
    mean_shift_sd: Number
    variance_ratio: Number
    wasserstein2: Number
    worst_channels: list[ChannelDivergence] = []


class LayerFinding(Part):
    """One batch-normalizing layer. `path` joins the names from the outermost model inwards with `/`.

    `noise_floor`: divergence that chance gives one time in a hundred. `significant`: beyond chance, at most 1 % false
    discoveries among all layers; `significant_channels`: how many channels are, among all channels.
    `smallest_detectable_kl`: the divergence that a sample of this size shows nine times in ten.
    """

    path: str
    class_name: str
    calls: int
    channels: int
    axis: int | list[int]
    momentum: Number
    epsilon: Number
    trainable: bool
    divergence: Divergence
    noise_floor: Number
    significant: bool
    significant_channels: int = 0
    smallest_detectable_kl: Number = 0.0
    inherited: Number
    share_of_gap: Number
    effective_updates: Number | None
    updates_to_converge: int | None
    status: LayerStatus


class Explanation(Part):
    """One explanation in the contest for the divergence: the share of it (0 to 1) that it predicts."""

    code: str
    explained: Number


class DepthPoint(Part):
    """Divergence of one layer, in nats: its own, what it inherits at inference, and both after the recommended fix.

    `after_fix` is measured on samples that the statistics were not taken from; None where no fix changes statistics.
    """

    path: str
    local: Number
    inherited: Number
    after_fix: Number | None = None
