"""What is known about the model and the batch before anything runs: names, shapes, ranges, versions."""

from __future__ import annotations

import hashlib
import math
import platform
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from analyzers.batches.lazy import Samples, least_and_most, pieces
from analyzers.batches.spec import Batch, Conversion
from analyzers.evaluation import Compiled, describe
from analyzers.report import ArrayFacts, BatchFacts, Check, Environment, ModelFacts
from analyzers.report_static import StaticFacts
from analyzers.traced import Subject

HARMLESS = (
    0.01  # Of a standard deviation: what a sample of 10,000 leaves of a mean, and far below any divergence named.
)
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
    static: StaticFacts | None = None


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
        static=source.static,
    )


def batch_facts(batch: Batch, sha256: str | None) -> BatchFacts:
    """What was sent."""
    labels = None
    if batch.y is not None:
        labels = {n: _labels(y) for n, y in zip(batch.output_names, batch.y, strict=True)}
    inputs = [_array(n, x) for n, x in zip(batch.input_names, batch.x, strict=True)]
    return BatchFacts(samples=batch.samples, inputs=inputs, labels=labels, sha256=sha256)


def conversions(batch: Batch) -> list[Check]:
    """Which inputs were brought to the model's type, where that changed them, and whether it matters."""
    return [_conversion(c) for c in batch.conversions]


def _conversion(found: Conversion) -> Check:
    harmless = found.moved <= HARMLESS
    said = f"`{found.name}`: {found.given} to {found.wanted}, the model's type, which moves values by up to "
    return Check(
        name="input_conversion",
        passed=harmless,
        detail=f"{said}{found.moved:.1g} standard deviations of their column"
        + (
            ""
            if harmless
            else ": what told samples apart is rounded away; subtract an offset before you save the batch"
        ),
    )


def _array(name: str, x: Samples) -> ArrayFacts:
    text = x.dtype.kind not in "fiub"
    facts: dict[str, Any] = {"name": name, "shape": list(x.shape), "dtype": "string" if text else str(x.dtype)}
    if text or not x.size:
        return ArrayFacts(**facts, min=None, max=None, mean=None, sd=None, non_finite=0)
    low, high = least_and_most(x)
    mean = sum(float(p.sum(dtype=np.float64)) for p in pieces(x)) / x.size
    variance = sum(float(np.square(p.astype(np.float64) - mean).sum()) for p in pieces(x)) / x.size
    finite = sum(int(np.count_nonzero(np.isfinite(p))) for p in pieces(x))
    return ArrayFacts(
        **facts, min=float(low), max=float(high), mean=mean, sd=math.sqrt(variance), non_finite=x.size - finite
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
