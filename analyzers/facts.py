"""What is known about the model and the batch before anything runs: names, shapes, ranges, versions."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from analyzers.batches.spec import Batch
from analyzers.evaluation import Compiled, describe
from analyzers.report import ArrayFacts, BatchFacts, Environment, ModelFacts
from analyzers.traced import Subject

MANY_CLASSES = 100  # Label counts beyond this many classes would dwarf the report.


@dataclass(frozen=True)
class Source:
    """What is known about the model beside itself."""

    format: str
    keras_version: str | None
    compile_config: dict[str, Any] | None
    optimizer_iterations: int | None
    remark: str | None = None
    model_sha256: str | None = None
    batch_sha256: str | None = None


def model_facts(subject: Subject, compiled: Compiled, source: Source) -> ModelFacts:
    """What the model is."""
    loss, metrics = describe(compiled)
    drawn = [*subject.of_kind("stochastic"), *subject.of_kind("augmentation")]
    return ModelFacts(
        name=subject.model.name,
        format=source.format,
        keras_version=source.keras_version,
        route=subject.route,
        parameters=subject.parameters,
        layers=len(subject.layers) - 1,
        batch_normalizing_layers=len(subject.of_kind("batch_normalizing")),
        optimizer_iterations=source.optimizer_iterations,
        compiled=not compiled.empty,
        loss=loss,
        metrics=metrics,
        stochastic_layers=[s.path for s in drawn],
        sha256=source.model_sha256,
    )


def batch_facts(batch: Batch, sha256: str | None) -> BatchFacts:
    """What was sent."""
    labels = None
    if batch.y is not None:
        labels = {n: _labels(y) for n, y in zip(batch.output_names, batch.y, strict=True)}
    inputs = [_array(n, x) for n, x in zip(batch.input_names, batch.x, strict=True)]
    return BatchFacts(samples=batch.samples, inputs=inputs, labels=labels, sha256=sha256)


def _array(name: str, x: np.ndarray[Any, np.dtype[Any]]) -> ArrayFacts:
    facts: dict[str, Any] = {"name": name, "shape": list(x.shape), "dtype": str(x.dtype)}
    if x.dtype.kind not in "fiub" or not x.size:
        return ArrayFacts(**facts, min=None, max=None, mean=None, sd=None, non_finite=0)
    bad = int(np.size(x) - np.count_nonzero(np.isfinite(x)))
    return ArrayFacts(
        **facts,
        min=float(x.min()),
        max=float(x.max()),
        mean=float(x.mean(dtype=np.float64)),
        sd=float(x.std(dtype=np.float64)),
        non_finite=bad,
    )


def _labels(y: np.ndarray[Any, np.dtype[Any]]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "shape": list(y.shape),
        "dtype": str(y.dtype),
        "min": float(y.min()),
        "max": float(y.max()),
    }
    if np.issubdtype(y.dtype, np.integer) and len(classes := np.unique(y)) <= MANY_CLASSES:
        facts["counts"] = {str(int(c)): int((y == c).sum()) for c in classes}
    return facts


def environment() -> Environment:
    """Versions, and the device that eager operations run on."""
    gpus = tf.config.list_logical_devices("GPU")
    return Environment(
        device=f"GPU: {gpus[0].name}" if gpus else f"CPU: {platform.machine()}",
        tensorflow=tf.__version__,
        keras=keras.__version__,
        python=platform.python_version(),
    )


def identity(*parts: str) -> str:
    """An id that follows from what was diagnosed, for use where no service gives one."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()
