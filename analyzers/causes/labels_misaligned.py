"""The labels stand beside other samples than they belong to: shuffled apart, or moved."""

from __future__ import annotations

import math

from analyzers.case import Case, Finding
from analyzers.causes._lag import lags
from analyzers.causes._shared import channels_explain
from analyzers.report import Evidence
from analyzers.symptoms import LabelFacts, Reordered, TargetFacts

TITLE = "The labels do not belong to the samples beside them"
SOURCE = (
    "Predictions as sure and as varied as the labels, that agree with them as often as with labels paired at random"
)
OUTSIDE = True
WHAT = (
    "Samples and labels were shuffled apart: two arrays shuffled with different seeds, a file list sorted in another "
    "way than its labels, a generator that shuffles under `predict`, a row that one file has more than the other. "
    "Each label is a real one, and stands beside another sample than its own."
)
LOOKS = (
    "A model that is sure of itself, predicts classes in the proportions of the labels, and agrees with them as often "
    "as chance, in both phases. In a regression: predictions that vary as much as the labels and do not correlate "
    "with them. Sometimes another order of the rows, reversed or moved by one, restores the agreement, and is named."
)
EVIDENCE = {
    "accuracy": "Share of right decisions. Held against chance.",
    "mean_confidence": (
        "The mean probability that the model gives its decisions. Held against what an unsure model would reach."
    ),
    "distance_of_class_histograms": (
        "How far the proportions of predicted classes lie from those of the labels. Held against the distance up to "
        "which they count as alike."
    ),
    "correlation": "Of predictions and labels in a regression. Held against what chance gives.",
    "spread_of_predictions": "Spread of the predictions over that of the labels. Held against 1.",
    "neighbours_share_labels": (
        "By how many standard deviations of chance similar samples share labels. Held against the number from which "
        "on nobody can have shuffled them."
    ),
}
LOOK_ALIKES = {
    "label_mapping_mismatch": "There one renaming of the classes restores the agreement.",
    "weights_untrained": "An untrained model is not sure of itself.",
    "input_distribution_shift": (
        "A good model fails on strange inputs, too; then only another order of the rows speaks against the labels."
    ),
}

FEWEST = 24  # Samples: with fewer, chance level and a poor model cannot be told apart in two or three classes.
SURE = 2.0  # Standard errors below what a model would reach that is right half as often beyond chance as it believes.
RENAMED_SD = 4.5  # Standard deviations above chance for the best of the renamings tried, of which there are many.
MARGIN = 0.25  # Of confidence beyond chance: an untrained or overwhelmed model is unsure of itself.
ALIKE = 0.15  # Distance of the class histograms, beyond sampling: the same classes in nearly the same proportions.
RESTORED_Z = 5.0  # Standard deviations above chance for another order of the rows, of which as many are tried as rows.
FOLLOW_Z = 2.5  # Standard deviations beyond chance by which neighbours share labels: then nobody shuffled them.
VARIED = (0.5, 1.5)  # Spread of predictions over that of labels: a regression that learned nothing predicts the mean.
UNLIKE = 1.0  # Nats in a layer that sees the input: its variances or means are off by whole standard deviations.
NEAR = 0.5  # Of the labels' standard deviation, between the means.


def judge(case: Case) -> Finding | None:
    """Present where predictions that ought to be good agree with the labels by chance only, in both phases."""
    known = case.weights.untrained or case.weights.left_at_start or channels_explain(case)
    if known or case.samples < FEWEST or any(n.explains for n in case.normalizations):
        return None
    spoilt = case.gap.systematic_significant  # then only decisions with other statistics speak for the labels
    strange = _strange(case)
    classes = [x for x in case.labels if _misaligned(x, strange) and (x.calibrated or not spoilt)]
    if classes:
        return _of_classes(classes[0])
    numbers = [x for x in case.targets if _misplaced(x) and not spoilt]
    return _of_numbers(numbers[0]) if numbers else None


def _strange(case: Case) -> bool:
    """Whether the input is so unlike the training data that a good model would fail on it, too.

    Then only another order of the rows that restores the decisions speaks against the labels.
    """
    return any(x.significant and x.figures.kl > UNLIKE and not x.at_start and not lags(x, case) for x in case.at_input)


def _misaligned(x: LabelFacts, strange: bool) -> bool:
    training = x.training_accuracy <= x.chance + 3 * max(x.chance_sd, 0.5 / math.sqrt(x.samples))
    renamed = x.permuted_accuracy <= x.chance + RENAMED_SD * x.chance_sd
    if not (x.at_chance and training and renamed) or x.coding is not None:
        return False
    expected = min(x.confidence, 1.0 - x.histogram_distance)
    poor = 0.5 * (x.chance + expected)
    below = x.accuracy < poor - SURE * math.sqrt(poor * (1 - poor) / x.samples)
    alike = x.histogram_distance < ALIKE + x.histogram_error
    sure = expected - x.chance > MARGIN
    kept = _restored(x.reordered, x.chance, x.chance_sd, poor) or (_unrelated(x) and not strange)
    return bool(below and alike and sure and kept)


def _misplaced(x: TargetFacts) -> bool:
    """The predictions' spread says how well the model believes to do: a fit of correlation r has r times the spread."""
    training = abs(x.training_correlation) <= 3 * x.chance_sd
    varied = VARIED[0] < x.spread_ratio < VARIED[1] and x.shift < NEAR
    poor = 0.5 * min(x.spread_ratio, 1.0)
    below = x.correlation < poor - SURE * x.chance_sd
    kept = _restored(x.reordered, 0.0, x.chance_sd, poor) or _unrelated(x)
    return bool(x.at_chance and training and varied and below and kept)


def _restored(other: Reordered | None, chance: float, sd: float, poor: float) -> bool:
    return other is not None and other.agreement > max(chance + RESTORED_Z * sd, poor)


def _unrelated(x: LabelFacts | TargetFacts) -> bool:
    return x.follows_inputs is not None and x.follows_inputs < FOLLOW_Z


def _of_classes(x: LabelFacts) -> Finding:
    expected = min(x.confidence, 1.0 - x.histogram_distance)
    moved = _restored(x.reordered, x.chance, x.chance_sd, 0.5 * (x.chance + expected))
    return Finding(
        0.95 if moved else 0.88,
        "critical",
        f"The model is sure of itself ({100 * x.confidence:.0f} % mean probability) and predicts the classes in the "
        f"proportions of the labels, but agrees with them on {100 * x.accuracy:.0f} % of the samples only, which "
        f"chance gives too; no renaming of classes helps, and both phases say the same. {_advice(x, moved, 'share')}",
        [],
        [
            Evidence(name="accuracy", value=x.accuracy, reference=x.chance),
            Evidence(name="mean_confidence", value=x.confidence, reference=x.chance + MARGIN),
            Evidence(name="distance_of_class_histograms", value=x.histogram_distance, reference=ALIKE),
            *_further(x),
        ],
        1.0 - x.accuracy,
    )


def _of_numbers(x: TargetFacts) -> Finding:
    moved = _restored(x.reordered, 0.0, x.chance_sd, 0.5 * min(x.spread_ratio, 1.0))
    return Finding(
        0.93 if moved else 0.85,
        "critical",
        f"The predictions of output `{x.output}` vary about as much as the labels ({x.spread_ratio:.2f} times their "
        f"spread), so the model believes to know them, but correlate with them by {x.correlation:.2f} only, which "
        f"chance gives too, in both phases. {_advice(x, moved, 'correlation')}",
        [],
        [
            Evidence(name="correlation", value=x.correlation, reference=3 * x.chance_sd),
            Evidence(name="spread_of_predictions", value=x.spread_ratio, unit="spread of labels", reference=1.0),
            *_further(x),
        ],
        1.0,
    )


def _advice(x: LabelFacts | TargetFacts, moved: bool, what: str) -> str:
    if moved and x.reordered is not None:
        return (
            f"With the labels {x.reordered.order} the {what} is {x.reordered.agreement:.2f}: samples and labels come "
            "in another order. Look for a row that one file has more than the other, or a list that was reversed."
        )
    return (
        "Samples and labels were shuffled apart: two arrays shuffled with different seeds, a file list sorted "
        "differently, a generator without a fixed order (`shuffle=False` for evaluation)."
    )


def _further(x: LabelFacts | TargetFacts) -> list[Evidence]:
    if x.follows_inputs is None:
        return []
    return [Evidence(name="neighbours_share_labels", value=x.follows_inputs, reference=FOLLOW_Z, unit="sd of chance")]
