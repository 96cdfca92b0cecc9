"""The output is the same for every sample."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.report import Evidence
from analyzers.symptoms import HeadFacts

TITLE = "The output does not depend on the input"
SOURCE = "A softmax over one unit is 1 for every input; a dead or zero last layer gives its bias"

CONSTANT = 1e-6  # Spread over samples relative to size: float32 rounding.


def judge(case: Case) -> Finding | None:
    """Present where an output does not vary over several samples, in either phase, and nothing before it says why."""
    if case.samples < 2 or case.non_finite_outputs or case.normalizations:
        return None
    dead = [h for h in case.heads if h.variation < CONSTANT]
    if not dead:
        return None
    h = dead[0]
    return Finding(
        0.95,
        "critical",
        f"Output `{h.output}` is the same for all {case.samples} samples ({h.low:.4g} to {h.high:.4g}). {_why(h)} No "
        "statistics and no preprocessing can change that.",
        [],
        [Evidence(name="variation_over_samples", value=h.variation, reference=CONSTANT)],
        1.0,
    )


def _why(h: HeadFacts) -> str:
    if h.values == 1 and h.low == h.high == 1.0:
        return "It is a softmax over a single unit, which is 1 whatever comes in: use a sigmoid, or one unit per class."
    return "Its last layers are dead: weights at zero, or units that no input reaches."
