"""The phases differ by float rounding only."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence

TITLE = "What differs is rounding"
SOURCE = "Higham, Accuracy and Stability of Numerical Algorithms (2002), section 4.2: sums depend on their order"
BENIGN = True
WHAT = (
    "Floating-point sums depend on their order. The two phases compute the same thing by different programs (a fused "
    "normalization against one with stored statistics), so the last digits differ by what float32 leaves after some "
    "dozens of layers."
)
LOOKS = (
    "Outputs that are not equal and lie nearer than 0.01 % of their spread. No decision and no printed figure depends "
    "on it."
)
EVIDENCE = {
    "difference": "Difference of the phases' outputs, in spreads of the outputs. Held against what rounding leaves.",
}
LOOK_ALIKES = {
    "no_phase_gap": "Said beside it where the difference is larger than rounding and within chance.",
    "stochastic_at_inference": "Random draws move outputs by far more than rounding does.",
}

ROUNDING = 1e-4  # Of the outputs' spread: what float32 leaves after some dozens of layers.


def judge(case: Case) -> Finding | None:
    """Present where the outputs of the phases are not equal, and nearer than anything but rounding would leave them."""
    if not 0.0 < case.gap.total < ROUNDING:
        return None
    return Finding(
        0.8,
        "info",
        f"The outputs of the phases differ by {case.gap.total:.1e} of their spread. Sums in another order give as "
        "much; no decision and no figure that anybody prints depends on it.",
        [],
        [Evidence(name="difference", value=case.gap.total, reference=ROUNDING, unit="output spread")],
    )
