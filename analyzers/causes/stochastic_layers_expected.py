"""Dropout, noise or augmentation make the training phase differ by design."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import loss_evidence
from analyzers.report import Evidence

TITLE = "Dropout, noise or augmentation at work in the training phase, as intended"
SOURCE = "Srivastava et al., Dropout (2014), section 3: units are dropped in training only"
BENIGN = True

NOTABLE = 0.05  # Of the outputs' spread: printed figures differ in the third digit, and people ask why.
MOST = 0.5  # The random layers are the answer where most of the difference is theirs, else worth a word beside it.
ANSWER, BESIDE = 0.95, 0.5


def judge(case: Case) -> Finding | None:
    """Present where switching these layers alone opens a part of the gap that can be seen."""
    drawn = case.gap.mechanisms.get("stochastic_layers", 0.0) + case.gap.mechanisms.get("augmentation", 0.0)
    if drawn < NOTABLE and not (case.gap.significant and drawn > 0.0):
        return None  # Beside a gap it is asked whether they open it, and "hardly" is an answer too.
    answer = case.gap.stochastic_significant or drawn >= MOST * case.gap.total
    layers = case.stochastic + case.augmentation
    return Finding(
        ANSWER if answer else BESIDE,
        "info",
        "These layers are random in the training phase and silent at inference; switching them alone opens "
        f"{100 * drawn / max(case.gap.total, 1e-12):.0f} % of the difference between the phases. Training figures "
        "worse than evaluation are what they are for. Nothing needs fixing, and batch normalization has no part in "
        "this share.",
        layers,
        [
            Evidence(
                name="difference_by_stochastic_layers", value=drawn, reference=case.gap.total, unit="output spread"
            ),
            *loss_evidence(case),
        ],
        drawn,
    )
