"""The proof of the switchboard: the training phase's own statistics, given back as constants, change nothing."""

from __future__ import annotations

import numpy as np

from analyzers.observation import Observer, Pass
from analyzers.report import Check
from analyzers.statistics import relative_difference
from analyzers.switchboard import Setting

REPLAY_TOLERANCE = 1e-5  # Relative; float32 rounding of a reordered reduction, far below any gap worth naming.
REPLAYED = 2  # Batches: one more than could agree by chance.
COARSE = {"float16": 2.0**-10, "bfloat16": 2.0**-7}  # From 1 to the next number.


def replay(observer: Observer, training: Pass) -> tuple[Pass | None, Check]:
    """Give the training phase's own statistics back as constants: the outputs must not change.

    In the first batches only, where there are many: what statistics do not explain is in a layer, and so in each.
    """
    if not training.calls[0]:
        return None, Check(name="replay_identity", passed=None, detail="no batch-normalizing layer to replay")
    rows = np.arange(min(observer.batch.samples, REPLAYED * observer.batch_size))
    replayed = observer.run(Setting(training=True, batch_statistics=False), rows=rows, like=training)
    pairs = zip(replayed.outputs, training.outputs.take(slice(len(rows))), strict=True)
    worst = max(relative_difference(a, b) for a, b in pairs)
    passed = worst <= _rounding(training)
    detail = (
        f"replaying the recorded batch statistics as constants changes the training-phase output by at most {worst:.2g}"
    )
    if len(rows) < observer.batch.samples:
        detail += f" ({REPLAYED} of {len(training.calls)} batches)"
    if not passed:
        detail += "; shares of the gap are not given, since statistics alone do not explain this model's training phase"
    return replayed, Check(name="replay_identity", passed=passed, detail=detail)


def _rounding(training: Pass) -> float:
    """How far a replay may be off: one rounding of each layer's statistics, where a coarser type than float32 stores
    them.
    """
    types = [calls[0].applied[0].dtype.name for calls in training.calls[0].values()]
    return max(REPLAY_TOLERANCE, sum(COARSE.get(name, 0.0) for name in types))
