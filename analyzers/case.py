"""What was measured about one model and batch: plain numbers, from which causes are judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analyzers.report import Evidence, PhaseFigures, Severity
from analyzers.statistics import Array, DivergenceFigures, Moments
from analyzers.symptoms import HeadFacts, LabelFacts, MetricFacts, NormalizationFacts, TargetFacts, WeightFacts

Mechanism = Literal["batch_statistics", "stochastic_layers", "augmentation", "other"]


@dataclass(frozen=True)
class ClockReading:
    """What the stored statistics of one layer say about how often they were updated (see `probes.averaging_clock`).

    `weight_of_start` is m^n, the weight that the initial values still have; `bound` an upper limit on it that follows
    from variances being positive; `explained` the share of the divergence (0 to 1) that this one number explains;
    `updates` is n.
    """

    weight_of_start: float
    bound: float
    explained: float
    updates: float | None
    updates_to_converge: int | None


@dataclass(frozen=True)
class LayerCase:
    """One batch-normalizing layer, measured in a training-phase pass. Arrays are (channels,).

    `per_step`: called once for each step of a sequence; `last_step_kl` is then the divergence of the last step alone.
    `averaged`: the mean of the statistics that single batches had, which is what moving averages converge to; in tiny
    batches their variance is far below that of all samples together, `batch`. `batch_at_inference`: it normalized by
    its batch although the model was called for inference. `discovered`: its divergence, and `discovered_channels`:
    those of its channels, that are beyond chance among all layers, or all channels, that were looked at. `detectable`:
    the smallest divergence that this sample would show. `at_input`: nothing before it depends on the phase, so that it
    sees the model's input rather than what other layers of its kind made of it.
    """

    path: str
    class_name: str
    calls: int
    axis: int | list[int]
    momentum: float
    epsilon: float
    trainable: bool
    uses_batch: bool
    stored: Moments
    batch: Moments
    start: Moments
    averaged: Moments
    figures: DivergenceFigures
    kl: Array
    noise_floor: float
    detectable: float
    discovered: bool
    discovered_channels: NDArray[np.intp]
    inherited: float
    clock: ClockReading | None
    share_of_gap: float = 0.0
    per_step: bool = False
    batch_at_inference: bool = False
    at_input: bool = False
    last_step_kl: float | None = None

    @property
    def channels(self) -> int:
        return int(self.stored.mean.shape[0])

    @property
    def significant(self) -> bool:
        """Whether the divergence is above what chance gives with this many samples and layers."""
        return self.uses_batch and self.discovered and self.figures.kl > self.noise_floor

    @property
    def at_start(self) -> bool:
        """Whether the stored statistics are exactly the initial ones."""
        return bool(
            np.array_equal(self.stored.mean, self.start.mean)
            and np.array_equal(self.stored.variance, self.start.variance)
        )


@dataclass(frozen=True)
class Paired:
    """A paired comparison over samples: mean difference, its standard error, and the means compared."""

    before: float
    after: float
    mean: float
    standard_error: float

    @property
    def z(self) -> float:
        """Mean difference in standard errors; positive where `after` has the lower loss."""
        return self.mean / self.standard_error if self.standard_error > 0 else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % normal interval of the mean difference."""
        return self.mean - 1.96 * self.standard_error, self.mean + 1.96 * self.standard_error


@dataclass(frozen=True)
class Gap:
    """How far the phases lie apart. Root mean squares are in units of the spread of the outputs over samples.

    `total`: training minus inference phase. `systematic`: what other statistics, those of the whole sample, would
    change in the inference phase; free of the noise of single batches. `noise_floor`: what `systematic` would be by
    sampling alone. `batch_noise`: the rest. `training_gain` and `statistics_gain`: loss in inference against the
    training phase and against held-out calibrated statistics, per sample.
    """

    total: float
    systematic: float
    noise_floor: float
    batch_noise: float
    agreement: float | None
    mechanisms: dict[Mechanism, float]
    training_gain: Paired | None
    statistics_gain: Paired | None
    systematic_significant: bool
    training_better: bool
    stochastic_significant: bool
    undecided: bool

    @property
    def significant(self) -> bool:
        """Whether there is a phase gap of any kind beyond noise."""
        return self.systematic_significant or self.training_better or self.stochastic_significant


@dataclass(frozen=True)
class ScaleTrial:
    """The input x was tried as factor * x + offset, chosen to match the stored statistics of the layers that see it
    first.

    `spread` is the standard deviation over channels of half the log variance ratio at those layers, `spread_by_chance`
    what sampling alone gives it; `kl_before`,
    `kl_after` their mean divergence in the inference phase; `deep_kl_before`, `deep_kl_after` that of all other layers
    there; `loss_before`, `loss_after` of inference where there are labels.
    `lagging`: layers behind show a lag, and everything here was measured with that undone.
    """

    paths: list[str]
    factor: float
    offset: float
    spread: float
    spread_by_chance: float
    kl_before: float
    kl_after: float
    deep_kl_before: float
    deep_kl_after: float
    deep_kl_training: float
    distance_before: float
    distance_after: float
    loss_before: float | None
    loss_after: float | None
    lagging: bool = False


@dataclass(frozen=True)
class ShiftTrial:
    """Each channel of the input was tried in another unit, pictures in another light too, chosen to match the stored
    statistics of the layers that see the input: `parameters` numbers for so many `statistics`.

    Mean divergence in the inference phase as sent and corrected, at those layers and, where nothing was fitted, behind
    them. `correction`: as code.
    """

    parameters: int
    statistics: int
    kl_before: float
    kl_after: float
    deep_kl_before: float
    deep_kl_after: float
    correction: str


@dataclass(frozen=True)
class ChannelTrial:
    """Inference with the colour channels reversed.

    `loss` beside that as sent, None without labels; `accuracy`, the share of right decisions, and `accuracy_z`, its
    gain in standard errors; `confidence`, what the model then believes that share to be. `kl_before` and `kl_after`:
    mean divergence, over the batch-normalizing layers, of what they see in the inference phase from what they stored.
    """

    loss: Paired | None
    accuracy: float | None = None
    accuracy_z: float = 0.0
    confidence: float | None = None
    kl_before: float | None = None
    kl_after: float | None = None


@dataclass(frozen=True)
class ConvertedTrial:
    """A wrong conversion of weights undone on the model: `what` it is, how to `undo` it, and the mean divergence over
    layers before and after.
    """

    what: str
    undo: str
    kl_before: float
    kl_after: float


@dataclass(frozen=True)
class Case:
    """Everything that causes are judged from."""

    samples: int
    batch_size: int
    labelled: bool
    layers: list[LayerCase]
    gap: Gap
    inference: PhaseFigures
    training: PhaseFigures
    weights: WeightFacts
    optimizer_iterations: int | None
    stochastic: list[str]
    augmentation: list[str]
    non_finite_outputs: bool
    input_scale: ScaleTrial | None = None
    input_shift: ShiftTrial | None = None
    converted: ConvertedTrial | None = None
    company_drift: float = 0.0
    labels: list[LabelFacts] = field(default_factory=list)
    targets: list[TargetFacts] = field(default_factory=list)
    heads: list[HeadFacts] = field(default_factory=list)
    metrics: list[MetricFacts] = field(default_factory=list)
    normalizations: list[NormalizationFacts] = field(default_factory=list)
    reversed_channels: ChannelTrial | None = None
    shuffled: Paired | None = None
    carried_states: list[str] = field(default_factory=list)
    changed_states: list[str] = field(default_factory=list)
    inference_drift: float = 0.0
    drawing_at_inference: list[str] = field(default_factory=list)

    @property
    def normalizing(self) -> list[LayerCase]:
        """The layers that use batch statistics in the training phase."""
        return [x for x in self.layers if x.uses_batch]

    @property
    def at_input(self) -> list[LayerCase]:
        """Those of `normalizing` that see the input, the most divergent first; the first in order at the least."""
        found = [x for x in self.normalizing if x.at_input] or self.normalizing[:1]
        return sorted(found, key=lambda x: -x.figures.kl)

    @property
    def behind(self) -> list[LayerCase]:
        """Those of `normalizing` that see what others have normalized."""
        return [x for x in self.normalizing if x not in self.at_input]

    @property
    def inference_better(self) -> bool:
        """Labels say that the inference phase is clearly the good one.

        Labels that name other classes, or stand beside other samples, also make the surer phase the dearer one: so the
        inference phase must be right more often than naming the commonest class, and than the training phase, too.
        """
        gain = self.gap.statistics_gain
        if gain is None or gain.z > -3.0 or -gain.mean < 0.1 * max(gain.before, 0.05):
            return False
        return all(x.inference_accuracy > max(x.majority, x.training_accuracy) for x in self.labels)


@dataclass(frozen=True)
class Rival:
    """One explanation of the divergence, and the share of it (0 to 1) that it predicts."""

    code: str
    explained: float


@dataclass(frozen=True)
class Finding:
    """One cause, judged present. `harm` orders findings of the same severity, in the units of `Gap.systematic`.

    `question`: what the owner alone can answer, before which no remedy of this is called verified, nor served.
    """

    confidence: float
    severity: Severity
    explanation: str
    layers: list[str] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    harm: float = 0.0
    question: str = ""
