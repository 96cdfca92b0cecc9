"""Losses and metrics that the caller named by a string, which cannot say whether an output is probabilities or logits.

What a model was compiled with is taken as it stands, faults included: it is what its owner saw. A name beside the model
means the loss of that name that fits the output.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np

from analyzers.evaluation import Compiled, Evaluator
from analyzers.observation import Observer
from analyzers.probes.readings import Reading, readings
from analyzers.switchboard import Setting

OF_LOGITS = {
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "binary_focal_crossentropy": keras.losses.BinaryFocalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "categorical_focal_crossentropy": keras.losses.CategoricalFocalCrossentropy,
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
}
AT_ZERO = ("accuracy", "acc", "binary_accuracy")


def fitted(observer: Observer, evaluator: Evaluator, saved: Compiled, loss: Any, metrics: Any) -> tuple[Evaluator, str]:
    """The evaluator with named losses and accuracies taken from logits where an output is such, and what to say of it.

    `loss` and `metrics` are what the caller named, `saved` what the model was compiled with: a name that only repeats
    that is taken as literally.
    """
    named_loss = isinstance(loss, str) and loss in OF_LOGITS and loss != saved.loss
    named_metrics = isinstance(metrics, str) and not saved.metrics
    if evaluator.y is None or not (named_loss or named_metrics):
        return evaluator, ""
    some = observer.run(Setting(), rows=np.arange(observer.batch_size)).outputs
    read = readings(observer.subject.model, evaluator.losses, some)
    compiled, said = evaluator.compiled, []
    if named_loss and any(_mistaken(r) for r in read):
        losses = [OF_LOGITS[loss](from_logits=True) if _mistaken(r) else loss for r in read]
        compiled, said = replace(compiled, loss=losses[0] if len(losses) == 1 else losses), [loss]
    if named_metrics and len(read) == 1 and read[0].kind == "logits" and some[0].shape[-1] == 1:
        given = keras.tree.flatten(compiled.metrics)
        compiled = replace(compiled, metrics=[_at_zero(m) for m in given])
        said += [m for m in given if m in AT_ZERO]
    if not said:
        return evaluator, ""
    listed = " and ".join(f"`{name}`" for name in said)
    note = f"The output is logits, not probabilities: {listed} take it so. Compile the model to say otherwise."
    return Evaluator(compiled, evaluator.names, evaluator.y, evaluator.weight), note


def _mistaken(read: Reading) -> bool:
    return read.kind == "logits" and not read.loss.from_logits


def _at_zero(metric: Any) -> Any:
    return keras.metrics.BinaryAccuracy(name=metric, threshold=0.0) if metric in AT_ZERO else metric
