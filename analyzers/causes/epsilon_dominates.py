"""Epsilon far above the variance: the layer hardly normalizes at all."""

from __future__ import annotations

import numpy as np

from analyzers.case import Case, Finding
from analyzers.report import Evidence

TITLE = "Epsilon is larger than the variance that it should only guard"
SOURCE = "Ioffe and Szegedy, Batch Normalization (2015), algorithm 1: epsilon is there for numerical stability"
BENIGN = True

# Times the median variance of a layer's channels: the output's spread is then below half of what it should be, since
# it is the square root of v / (v + epsilon).
FAR_ABOVE = 3.0


def judge(case: Case) -> Finding | None:
    """Present where a layer's epsilon is far above the variance of most of its channels, stored and of the batch."""
    layers = [
        x
        for x in case.layers
        if x.calls
        and 0 < _median(x.batch.variance) < x.epsilon / FAR_ABOVE
        and _median(x.stored.variance) < x.epsilon / FAR_ABOVE
    ]
    if not layers:
        return None
    worst = min(layers, key=lambda x: _median(x.batch.variance))
    return Finding(
        0.85,
        "info",
        f"In `{worst.path}` epsilon is {worst.epsilon:g} and the variance of its input "
        f"{_median(worst.batch.variance):.2g}: the layer divides by the square root of epsilon, and its output is far "
        "smaller than one. Both phases do the same, so this opens no gap; but the layer does not normalize. Rescale "
        "the inputs to a spread near one, or set a smaller epsilon if it came from another framework.",
        [x.path for x in layers],
        [
            Evidence(
                name="epsilon", value=x.epsilon, reference=_median(x.batch.variance), unit="variance", layer=x.path
            )
            for x in layers[:3]
        ],
    )


def _median(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(np.median(values))
