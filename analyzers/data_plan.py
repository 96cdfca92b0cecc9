"""How many samples leave which error where statistics are taken from data: a plan for the data to calibrate on.

Statistics of n samples are off from those of all data by an error that falls as 1 / sqrt(n), and so, to first order,
are the outputs. The jackknife of the calibrated outputs says how large it is for the samples that came
(`phase.Calibrated`).
"""

from __future__ import annotations

import math

from analyzers.case import Case
from analyzers.report import DataPoint
from analyzers.wording import plural

STEPS = (1, 4, 16, 64)  # Each halves the error of the one before.
TARGETS = (0.05, 0.01)  # Of the outputs' spread: decisions hardly move, and nothing that anybody prints moves.
MOST_SAMPLES = 1_000_000  # Beyond this a plan is no plan.


def plan(case: Case) -> list[DataPoint]:
    """Samples and the error that they leave, as a share of the outputs' spread, fewest first; empty where unknown."""
    here = case.gap.noise_floor
    if not math.isfinite(here) or here <= 0.0:
        return []
    wanted = {case.samples * step for step in STEPS}
    wanted |= {math.ceil(case.samples * (here / target) ** 2) for target in TARGETS}
    return [
        DataPoint(samples=n, remaining_error=here * math.sqrt(case.samples / n))
        for n in sorted(wanted)
        if case.samples <= n <= MOST_SAMPLES
    ]


def sentence(case: Case) -> str:
    """The plan in words; empty where it is unknown."""
    here = case.gap.noise_floor
    if not math.isfinite(here) or here <= 0.0:
        return ""
    left = (
        f"Statistics of {plural(case.samples, 'sample')} leave about {_percent(here)} of the outputs' spread to chance"
    )
    wanted = [(t, _rounded(case.samples * (here / t) ** 2)) for t in TARGETS]
    more = [f"{plural(n, 'sample')} about {_percent(t)}" for t, n in wanted if case.samples < n <= MOST_SAMPLES]
    return f"{left}, {', '.join(more)}." if more else f"{left}: more are hardly needed."


def _rounded(samples: float) -> int:
    """Rounded up to two digits, which is all that the estimate bears."""
    unit = 10.0 ** max(math.floor(math.log10(max(samples, 1.0))) - 1, 0)
    return int(math.ceil(samples / unit) * unit)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
