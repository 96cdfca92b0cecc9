"""Does a sample's prediction depend on the samples beside it? At inference it must not.

It does where a layer normalizes by its batch at inference, whoever wrote that layer: a stray `training=True`, or a
batch normalization built by hand from sums and square roots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzers.observation import Observer, Pass
from analyzers.phase import flatten
from analyzers.statistics import relative_difference, relative_rms
from analyzers.switchboard import Setting


@dataclass(frozen=True)
class Company:
    """Inference in other company: root mean square difference of the outputs in units of their spread, and the largest
    one relative to the largest output.
    """

    drift: float
    largest: float


def company(observer: Observer, inference: Pass) -> Company | None:
    """Every other sample run again without its neighbours, with other random draws; where the model takes batches of
    one size only, all samples in another order. None for a single sample.
    """
    samples = observer.batch.samples
    if samples < 2:
        return None
    rows = np.arange(0, samples, 2)
    if observer.subject.fixed_batch:
        rows = np.random.default_rng(observer.seed).permutation(samples)
    outputs = observer.run(Setting(), rows=rows, repeat=1).outputs
    alone, among = flatten(outputs), flatten(inference.outputs)
    pairs = zip(outputs, inference.outputs, strict=True)
    largest = max(relative_difference(a, b[rows]) for a, b in pairs)
    return Company(relative_rms(alone - among[rows], [among]), largest)
