"""What was measured beside the phases: weights, labels, heads, metrics and normalization layers. Plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class WeightFacts:
    """Which trainable parameters look as if they were never trained.

    `layers` counts those with weights, normalizations apart, and `at_initial_values` names those of them that may be
    untouched draws. `constants_moved`: some parameter that starts at a constant stands there no more. `vouched`: the
    net has enough parameters whose training would show. `left_at_start` are layers, normalizations too, that beyond
    doubt were not trained although others of the net were; `frozen_at_start` are such layers marked as not trainable.
    `units` counts all layers with weights, normalizations too; `last` is the last of them.
    """

    layers: int
    at_initial_values: list[str]
    constants_moved: bool
    vouched: bool = True
    left_at_start: list[str] = field(default_factory=list)
    frozen_at_start: list[str] = field(default_factory=list)
    units: int = 0
    last: str = ""

    @property
    def untrained(self) -> bool:
        """Whether nothing in the whole net was ever trained."""
        whole = len(self.at_initial_values) == self.layers
        return self.layers > 0 and whole and self.vouched and not self.constants_moved


@dataclass(frozen=True)
class LabelFacts:
    """Predicted against true classes in the inference phase, of one classifying output.

    `permuted_accuracy` is that after the best renaming of classes, found on one half of the samples and counted on the
    other, `renaming` the one found on all; `majority` the share of the commonest class; `histogram_distance` half the
    sum of absolute differences of the two class histograms; `confidence` the mean probability of the predicted class.
    `calibrated`: the decisions are those with held-out statistics, since the stored ones spoil the inference phase.
    """

    output: str
    accuracy: float
    permuted_accuracy: float
    renaming: dict[int, int]
    majority: float
    histogram_distance: float
    confidence: float
    training_accuracy: float
    calibrated: bool = False


@dataclass(frozen=True)
class HeadFacts:
    """One output in the inference phase: `variation` is its spread over samples relative to its size, the larger of
    both
    phases' (NaN where values are not finite).
    """

    output: str
    values: int
    variation: float
    low: float
    high: float


@dataclass(frozen=True)
class MetricFacts:
    """A metric or loss that does not fit its head: its value, and that of the one that fits."""

    name: str
    value: float
    fitting_name: str
    fitting_value: float


@dataclass(frozen=True)
class NormalizationFacts:
    """A `Normalization` layer at mean 0 and variance 1, and the largest mean and spread of what the sample feeds it."""

    path: str
    largest_mean: float
    largest_sd: float
