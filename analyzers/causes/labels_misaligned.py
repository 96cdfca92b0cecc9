"""The labels stand beside other samples than they belong to: shuffled apart."""

from __future__ import annotations

import math

from analyzers.case import Case, Finding
from analyzers.report import Evidence
from analyzers.symptoms import LabelFacts

TITLE = "The labels do not belong to the samples beside them"
SOURCE = "Confident predictions in the right proportions that agree with the labels by chance only"

CONFIDENT = 0.75  # Mean probability of the predicted class: an untrained or overwhelmed model is unsure of itself.
ERRORS = 3.0  # Standard errors above chance within which agreement counts as chance.
SURE = 2.0  # Standard errors below what an overconfident but working model would reach.
ALIKE = 0.15  # Distance of the class histograms: the same classes in nearly the same proportions.


def judge(case: Case) -> Finding | None:
    """Present where confident predictions have the labels' proportions and agree with them by chance only, in both
    phases.
    """
    spoilt = case.gap.systematic_significant  # then only decisions with other statistics speak for the labels
    found = [x for x in case.labels if _applies(x, case.samples) and (x.calibrated or not spoilt)]
    if not found or case.weights.untrained:
        return None
    x = found[0]
    return Finding(
        0.88,
        "critical",
        f"The model is sure of itself ({100 * x.confidence:.0f} % mean probability) and predicts the classes in the "
        f"proportions of the labels, but agrees with them on {100 * x.accuracy:.0f} % of the samples only, which "
        "chance gives too; no renaming of classes helps, and both phases say the same. Samples and labels were "
        "shuffled apart: two arrays shuffled with different seeds, a file list sorted differently, a generator "
        "without a fixed order (`shuffle=False` for evaluation).",
        [],
        [
            Evidence(name="accuracy", value=x.accuracy, reference=x.majority),
            Evidence(name="mean_confidence", value=x.confidence, reference=CONFIDENT),
            Evidence(name="distance_of_class_histograms", value=x.histogram_distance, reference=ALIKE),
        ],
        1.0 - x.accuracy,
    )


def _applies(x: LabelFacts, samples: int) -> bool:
    error = math.sqrt(max(x.majority * (1 - x.majority), 0.01) / samples)
    chance = x.accuracy < x.majority + ERRORS * error and x.training_accuracy < x.majority + ERRORS * error
    renamed = x.permuted_accuracy < x.majority + 2 * ERRORS * error
    alike = x.histogram_distance < ALIKE + error
    return chance and renamed and alike and x.confidence > CONFIDENT and _below_a_poor_model(x, samples)


def _below_a_poor_model(x: LabelFacts, samples: int) -> bool:
    """Whether even a model that is right half as often beyond chance as it believes would hardly be this wrong."""
    poor = 0.5 * (x.majority + x.confidence)
    return x.accuracy < poor - SURE * math.sqrt(poor * (1 - poor) / samples)
