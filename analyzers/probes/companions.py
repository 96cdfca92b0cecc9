"""Does a sample's prediction depend on the samples beside it? At inference it must not.

It does where a layer normalizes by its batch at inference, whoever wrote that layer: a stray `training=True`, or a
batch normalization built by hand from sums and square roots.
"""

from __future__ import annotations

import numpy as np

from analyzers.observation import Observer, Pass
from analyzers.phase import flatten
from analyzers.statistics import relative_rms
from analyzers.switchboard import Setting


def drift(observer: Observer, inference: Pass) -> float:
    """Root mean square difference of the inference phase's outputs in other company, in units of their spread.

    Every other sample is run again without its neighbours; where the model takes batches of one size only, all samples
    in another order. 0 for a single sample.
    """
    samples = observer.batch.samples
    if samples < 2:
        return 0.0
    rows = np.arange(0, samples, 2)
    if observer.subject.fixed_batch:
        rows = np.random.default_rng(observer.seed).permutation(samples)
    alone = flatten(observer.run(Setting(), rows=rows).outputs)
    among = flatten(inference.outputs)
    return relative_rms(alone - among[rows], [among])
