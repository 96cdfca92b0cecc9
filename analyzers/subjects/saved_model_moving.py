"""Momentum and batch statistics, read from how the moving variables move in the saved training phase itself.

After one training-phase call, new = m * old + (1 - m) * batch. Two calls on one batch from two known starts give both
numbers without knowing anything of the graph: m from the difference of the results over that of the starts, the batch's
statistics from the call that started at 0. Source: Ioffe and Szegedy, Batch Normalization (2015), section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzers.subjects.saved_model_subject import TracedSubject

FAR_START = 1e6  # So far from any batch that what random layers change between the calls is lost in rounding.
DIGITS = 5  # What float32 leaves of a momentum: 0.99 is 0.98999996.
AGREES = 1e-4  # A momentum in the metadata this near is the same number, without the rounding.


@dataclass(frozen=True)
class Movement:
    """What one site's moving variables did: `momentum` and, where they move, the batch's statistics (channels,)."""

    momentum: float
    mean: NDArray[np.float64] | None
    variance: NDArray[np.float64] | None


def movements(subject: TracedSubject, inputs: Sequence[NDArray[Any]]) -> dict[str, Movement]:
    """Call the saved training phase twice on one batch; every variable is put back."""
    training = subject.training
    if training is None:
        return {}
    moving = [p for p in subject.order if training.uses_batch(p)]
    kept = [(v, np.array(v)) for v in subject.variables]
    try:
        near, far = (_after_call(subject, moving, inputs, start, kept) for start in (0.0, FAR_START))
    finally:
        for variable, value in kept:
            variable.assign(value)
    return {p: _movement(near[p], far[p], len(training.calls.by_site[p])) for p in moving}


def learn(subject: TracedSubject, found: dict[str, Movement]) -> None:
    """Let the sites have the momentum that was measured, or that of the metadata where they agree."""
    for site in subject.of_kind("batch_normalizing"):
        movement = found.get(site.path)
        known = float(getattr(site.layer, "momentum", np.nan))
        if movement is not None and not abs(known - movement.momentum) < AGREES:
            object.__setattr__(site.layer, "momentum", movement.momentum)


def _after_call(
    subject: TracedSubject, moving: list[str], inputs: Sequence[NDArray[Any]], start: float, kept: list[Any]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The moving variables after a call that they started at `start`, everything else as it is in the file."""
    assert subject.training is not None
    for variable, value in kept:
        variable.assign(value)
    for path in moving:
        for variable in subject.pairs[path]:
            variable.assign(np.full(variable.shape, start, np.float32))
    subject.training.traced(inputs)
    return {p: (np.array(m, np.float64), np.array(v, np.float64)) for p, (m, v) in subject.pairs.items() if p in moving}


def _movement(near: Any, far: Any, calls: int) -> Movement:
    """From the ends of both calls; a site that is called several times in a pass was updated as often."""
    with np.errstate(all="ignore"):
        kept = float(np.median((far[0] - near[0]) / FAR_START))
    momentum = float(np.clip(round(kept, DIGITS), 0.0, 1.0)) if np.isfinite(kept) else float("nan")
    single = round(momentum ** (1.0 / calls), DIGITS)
    if not momentum < 1.0 or calls > 1:
        return Movement(single, None, None)
    return Movement(momentum, near[0] / (1.0 - momentum), near[1] / (1.0 - momentum))
