"""Epsilon far above the variance: the layer hardly normalizes at all."""

from __future__ import annotations

import numpy as np

from analyzers.case import Case, Finding
from analyzers.report import Evidence

TITLE = "Epsilon is larger than the variance that it should only guard"
SOURCE = "Ioffe and Szegedy, Batch Normalization (2015), algorithm 1: epsilon is there for numerical stability"
BENIGN = True
WHAT = (
    "Batch normalization divides by the square root of variance plus epsilon; epsilon is there for numerical safety "
    "(Ioffe and Szegedy, algorithm 1). Where the variance of a layer's input is far below it, the layer divides by a "
    "constant instead of by a spread, and its output is much smaller than 1. Tiny inputs, tiny weights and an epsilon "
    "taken over from another framework do that."
)
LOOKS = (
    "Layers whose epsilon is more than three times the variance of most channels, stored and of the batch. Both "
    "phases do the same, so this alone opens no gap."
)
EVIDENCE = {
    "epsilon": "The layer's epsilon. Held against the median variance of its input over the channels.",
}
LOOK_ALIKES = {
    "bn_conversion_mismatch": "An epsilon of another framework that opens a gap is named there.",
    "bn_statistics_unconverged": "Stored variances still near 1 on inputs of a tiny variance are a lag.",
}

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
