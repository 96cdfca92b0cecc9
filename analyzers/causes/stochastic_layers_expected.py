"""Dropout, noise or augmentation make the training phase differ by design."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.causes._shared import loss_evidence
from analyzers.report import Evidence

TITLE = "Dropout, noise or augmentation at work in the training phase, as intended"
SOURCE = "Srivastava et al., Dropout (2014), section 3: units are dropped in training only"
BENIGN = True
WHAT = (
    "Dropout, noise layers and random augmentation change the training phase on purpose and rest at inference. "
    "Training figures that are printed epoch by epoch are computed with them on, and so are worse than `evaluate` on "
    "the same data. That is the method at work (Srivastava et al. scale the units that stay so that the mean is kept) "
    "and no fault."
)
LOOKS = (
    "A difference between the phases, with inference as the better one or as good, that goes away when only these "
    "layers are switched off. `by_mechanism` shows it under `stochastic_layers` or `augmentation`."
)
EVIDENCE = {
    "difference_by_stochastic_layers": (
        "The part of the difference that switching these layers alone makes, in spreads of the outputs. Held against "
        "the whole difference."
    ),
}
LOOK_ALIKES = {
    "stochastic_at_inference": "There the layers are at work at inference, too.",
    "bn_statistics_unconverged": (
        "Batch normalization has its own entry in `by_mechanism`; both can be true of one model."
    ),
    "no_phase_gap": "Where these layers move outputs by less than chance, there is no gap to explain.",
}

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
