"""Clear impossible statistics, then take them anew; sound layers keep theirs."""

from __future__ import annotations

from analyzers.case import Case, Finding
from analyzers.remedies import _recalibration

TITLE = "Reset the corrupt statistics and recalibrate"
TREATS = ("bn_corrupt_statistics",)
WHAT = (
    "Sets the statistics of the corrupt layers to mean 0 and variance 1 and then takes them anew from data; layers "
    "with sound statistics keep theirs. The reset matters: 0 times NaN is NaN, so a pass at momentum 0 alone keeps "
    "it. Then look for what produced the values."
)


def paths(case: Case, finding: Finding) -> list[str] | None:
    """The layers that hold corrupt values."""
    return list(finding.layers)


def explain(case: Case, finding: Finding) -> str:
    """What is done, and to which layers."""
    return (
        f"Reset the statistics of {', '.join(f'`{p}`' for p in finding.layers[:5])} to mean 0 and variance 1, then "
        "take them anew from data in one training-phase pass. The reset is needed: 0 * NaN is NaN, so momentum 0 "
        "alone keeps it. Layers with sound statistics are left alone. Then look for what produced the values: a "
        "batch of one value per channel, a diverging step, an overflow in half precision."
    )


def snippet(case: Case) -> str | None:
    """The recalibration, which resets first."""
    return _recalibration.snippet(_recalibration.Recipe(case.samples))
