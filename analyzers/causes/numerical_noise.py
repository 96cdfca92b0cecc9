"""The phases differ by float rounding only."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence

TITLE = "What differs is rounding"
SOURCE = "Higham, Accuracy and Stability of Numerical Algorithms (2002), section 4.2: sums depend on their order"
BENIGN = True

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
