"""What the outputs are like: do they vary from sample to sample, and in what range?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from analyzers.observation import Observer
from analyzers.outputs import Outputs
from analyzers.probes.dying import dead_layer
from analyzers.symptoms import HeadFacts


def heads(observer: Observer, inference: Outputs, training: Outputs) -> list[HeadFacts]:
    """Facts of each output."""
    found = [_head(name, i, inference, training) for i, name in enumerate(observer.batch.output_names)]
    if not any(h.constant for h in found):
        return found
    where = dead_layer(observer)
    return [replace(h, dead_from=where) if h.constant else h for h in found]


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
        logit_low=float("nan") if (z := inference.logits[index]) is None else float(z.min()),
    )


def _variation(output: Any) -> float:
    values = output.reshape(len(output), -1)
    if not np.isfinite(values).all():
        return float("nan")
    size = float(np.sqrt(np.mean(np.square(values))))
    return float(np.sqrt(np.mean(np.var(values, axis=0)))) / size if size else 0.0
