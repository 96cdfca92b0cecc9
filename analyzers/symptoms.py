"""What was measured beside the phases: weights, labels, heads, metrics and normalization layers. Plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


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


CHANCE_ERRORS = 3.0  # Standard deviations of random pairings within which agreement is what chance gives.


@dataclass(frozen=True)
class Reordered:
    """The other order of the labels that agrees best with the predictions, and how well."""

    order: str
    agreement: float


@dataclass(frozen=True)
class LabelFacts:
    """Predicted against true classes in the inference phase, of one classifying output, over all its positions.

    `renaming` maps the model's classes to the labels' where those differ, in the best of all one-to-one renamings, and
    `rule` says which usual one it is, if any. `permuted_accuracy` is the accuracy with it, on samples that it was not
    found on; `renaming_z` how far above `accuracy`, in standard errors; `clean` the share of right decisions among
    those that it changes; `confirmed` the classes that bear it out. `majority` is the share of the commonest class;
    `histogram_distance` half the sum of absolute differences of the two class histograms, `histogram_error` what that
    would be between two independent draws; `confidence` the mean probability of the predicted class. `chance` and
    `chance_sd`: accuracy when labels and samples are paired at random. Only where accuracy is at chance are `reordered`
    and `follows_inputs` there, the latter being how far nearest neighbours agree in their labels beyond chance, in
    standard deviations. `coding`: the two numbers that labels have in place of 0 and 1.
    `calibrated`: the decisions are those with held-out statistics, since the stored ones spoil the inference phase;
    `uncalibrated_accuracy` is that of the inference phase itself then.
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
    uncalibrated_accuracy: float | None = None
    samples: int = 0
    rule: str | None = None
    renaming_z: float = 0.0
    clean: float = 0.0
    confirmed: int = 0
    training_permuted_accuracy: float = 0.0
    histogram_error: float = 0.0
    chance: float = 0.0
    chance_sd: float = 0.0
    reordered: Reordered | None = None
    follows_inputs: float | None = None
    coding: tuple[float, float] | None = None

    @property
    def inference_accuracy(self) -> float:
        """Of the inference phase as it is."""
        return self.accuracy if self.uncalibrated_accuracy is None else self.uncalibrated_accuracy

    @property
    def at_chance(self) -> bool:
        """Whether labels paired with samples at random would agree as well with the decisions."""
        return self.accuracy <= self.chance + CHANCE_ERRORS * self.chance_sd


@dataclass(frozen=True)
class TargetFacts:
    """Predicted against true numbers in the inference phase, of one output.

    `correlation` has each column's mean taken out; `chance_sd` is its standard deviation when labels and samples are
    paired at random; `spread_ratio` the predictions' standard deviation over that of the labels; `shift` the difference
    of their means in the labels' standard deviations. `reordered` and `follows_inputs` as in `LabelFacts`.
    """

    output: str
    samples: int
    correlation: float
    training_correlation: float
    chance_sd: float
    spread_ratio: float
    shift: float
    reordered: Reordered | None = None
    follows_inputs: float | None = None

    @property
    def at_chance(self) -> bool:
        """Whether labels paired with samples at random would correlate as well with the predictions."""
        return abs(self.correlation) <= CHANCE_ERRORS * self.chance_sd


Misfit = Literal[
    "entries", "threshold", "twice", "never", "one_unit", "class_numbers", "equality", "several", "signs", "class_ids"
]
"""What is wrong with a metric or loss; `causes.metric_mismatch` says each in words."""


CONSTANT = 1e-6  # Spread over samples relative to size: float32 rounding.
SATURATED = 15.0  # A logit from which on a sigmoid is 1 but for float32 rounding.


@dataclass(frozen=True)
class HeadFacts:
    """One output. `variation` is its spread over samples relative to its size, the larger of both phases' (NaN where
    values are not finite); `logit_variation` that of the logits behind it, NaN where they are not known, and
    `logit_low` their least. `low` and `high` are its extremes in the inference phase, `units` the length of its last
    axis, `dead_from` the layer from which on nothing varies.
    """

    output: str
    values: int
    variation: float
    low: float
    high: float
    units: int = 1
    logit_variation: float = float("nan")
    logit_low: float = float("nan")
    dead_from: str | None = None

    @property
    def constant(self) -> bool:
        """Whether the output is the same for all samples, but for rounding, in both phases."""
        return self.variation < CONSTANT

    @property
    def single_softmax(self) -> bool:
        """Whether it is a softmax over one unit: 1 whatever comes in, also where a sigmoid would not be 1."""
        return self.units == 1 and self.low == self.high == 1.0 and not self.logit_low >= SATURATED


@dataclass(frozen=True)
class MetricFacts:
    """A metric or loss that does not fit its head: its value on the outputs, and that of the one that fits.

    `printed` is what Keras prints, where that is another number: it looks for logits behind an activation.
    """

    name: str
    value: float
    fitting_name: str
    fitting_value: float
    reason: Misfit = "entries"
    loss: bool = False
    printed: float | None = None


FAR = 2.0  # Mean, or spread, of the data in the units that a Normalization layer at 0 and 1 takes them to be in.
BETTER_Z = 4.0  # Standard errors by which another loss is surely lower or higher, of paired samples.


@dataclass(frozen=True)
class NormalizationFacts:
    """A `Normalization` layer of which `idle` of all `features` stand at mean 0 and variance 1.

    `largest_mean` and `largest_sd` are those of what the sample feeds these features. The losses are those of
    inference as sent and with the layers adapted to the sample, None without labels; `z` is the gain, in standard
    errors.
    """

    path: str
    largest_mean: float
    largest_sd: float
    features: int = 1
    idle: int = 1
    loss_as_sent: float | None = None
    loss_adapted: float | None = None
    z: float = 0.0

    @property
    def far(self) -> bool:
        """Whether the data are far from what the layer leaves them to be."""
        return self.largest_mean > FAR or self.largest_sd > FAR

    @property
    def restores(self) -> bool:
        """Whether adapting the layer was tried and helps: the model was trained behind an adapted one."""
        return self.loss_adapted is not None and self.z > BETTER_Z

    @property
    def harms(self) -> bool:
        """Whether adapting the layer was tried and does harm: the model was trained without it."""
        return self.loss_adapted is not None and self.z < -BETTER_Z

    @property
    def explains(self) -> bool:
        """Whether the layer may be what is wrong with the predictions."""
        return (self.far or self.restores) and not self.harms
