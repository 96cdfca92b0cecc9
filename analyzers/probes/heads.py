"""What the outputs are like: do they vary from sample to sample, and in what range?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyzers.outputs import Outputs
from analyzers.symptoms import HeadFacts


def heads(names: Sequence[str], inference: Outputs, training: Outputs) -> list[HeadFacts]:
    """Facts of each output."""
    return [_head(name, i, inference, training) for i, name in enumerate(names)]


def _head(name: str, index: int, inference: Outputs, training: Outputs) -> HeadFacts:
    output = inference[index]
    values = np.where(np.isfinite(output), output, np.nan).reshape(len(output), -1)
    some = values[np.isfinite(values)]
    low, high = (float(some.min()), float(some.max())) if some.size else (float("nan"), float("nan"))
    logits = [_variation(z) for phase in (inference, training) if (z := phase.logits[index]) is not None]
    return HeadFacts(
        output=name,
        values=int(values.shape[1]),
        variation=max(_variation(output), _variation(training[index])),
        low=low,
        high=high,
        units=int(output.shape[-1]) if output.ndim > 1 else 1,
        logit_variation=max(logits, default=float("nan")),
    )


def _variation(output: Any) -> float:
    values = output.reshape(len(output), -1)
    if not np.isfinite(values).all():
        return float("nan")
    size = float(np.sqrt(np.mean(np.square(values))))
    return float(np.sqrt(np.mean(np.var(values, axis=0)))) / size if size else 0.0
