"""Does the training phase owe its success to the order of the sample? Tried: the same samples in shuffled batches."""

from __future__ import annotations

import numpy as np

from analyzers.case import Paired
from analyzers.evaluation import Evaluator
from analyzers.observation import Observer, Pass
from analyzers.phase import paired
from analyzers.switchboard import Setting


def shuffled(observer: Observer, evaluator: Evaluator, training: Pass) -> Paired | None:
    """Loss of the training phase in shuffled batches (before) against the order as sent (after); None where all is one
    batch.
    """
    samples = observer.batch.samples
    if not evaluator.has_loss or samples <= observer.batch_size or observer.batch_size < 2:
        return None
    order = np.random.default_rng(observer.seed).permutation(samples)
    mixed = observer.run(Setting(training=True), rows=order).outputs.take(np.argsort(order))
    return paired(evaluator.per_sample(mixed), evaluator.per_sample(training.outputs))
