"""Why a Keras model predicts differently than it trains: the analysis as a library.

    import analyzers
    report = analyzers.diagnose(model, x, y, batch_size=32)
    print(report.headline)

Importing this package loads neither TensorFlow nor NumPy; calling it does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analyzers.report import Report

__all__ = ["diagnose", "diagnose_files"]

Progress = Callable[[str, float], None]
"""Called with a stage (inspect, load, measure, explain, verify) and the fraction of the whole that is done."""


def diagnose(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    batch_size: int | None = None,
    loss: Any = None,
    metrics: Any = None,
    reported: dict[str, float] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Diagnose a live Keras model on a sample batch; the model is left exactly as it was.

    Args:
        model: a built `keras.Model`.
        x: inputs, an array (samples, ...) or a list or dictionary of arrays for several inputs.
        y: labels in the same forms, or None: then only the outputs of the phases are compared.
        sample_weight: weights (samples,), or None.
        batch_size: that of training; default 32, or the number of samples where that is smaller.
        loss: replaces what the model was compiled with: a Keras identifier, or a dictionary or list of them.
        metrics: likewise, a list of Keras identifiers.
        reported: figures seen while training, such as `{"accuracy": 1.0}`.
        seed: of everything random; same inputs and seed give the same report, timing aside.
        progress: called with a stage's name and the fraction done.

    Raises:
        analyzers.errors.AnalysisError: the model or the batch cannot be diagnosed; the message says what to change.
    """
    from analyzers.pipeline import diagnose_live

    return diagnose_live(
        model,
        x,
        y,
        sample_weight=sample_weight,
        batch_size=batch_size,
        loss=loss,
        metrics=metrics,
        reported=reported,
        seed=seed,
        progress=progress,
    )


def diagnose_files(
    model_path: Path,
    batch_path: Path,
    *,
    repaired_path: Path | None = None,
    batch_size: int | None = None,
    loss: str | None = None,
    metrics: str | None = None,
    reported: dict[str, float] | None = None,
    seed: int = 0,
    label_column: str | None = None,
    memory_bytes: int | None = None,
    progress: Progress | None = None,
    found: Callable[[str], None] | None = None,
    sha256: tuple[str, str] | None = None,
) -> Report:
    """Diagnose a saved model on a batch file; what `POST /diagnose` and `phasegap diagnose` run.

    Formats are told by the files' names and content. Where a verified remedy (or, on batches too small to hold samples
    out, a recommended one) changed stored statistics only, the repaired model is written to `repaired_path` in the
    format of the upload, and that remedy's `repaired_model` is true. `metrics` is comma-separated. A model that by its
    configuration needs more than `memory_bytes` (default: the machine's memory) is refused before it is built. `found`
    is called once, before the model is loaded, with a line on what the model file was found to hold. `sha256` are the
    hashes of model and batch where they are known: finding them takes a second for each gigabyte.

    Raises:
        analyzers.errors.AnalysisError: the model or the batch cannot be diagnosed; the message says what to change.
    """
    from analyzers.pipeline import diagnose_saved

    return diagnose_saved(
        model_path,
        batch_path,
        repaired_path=repaired_path,
        batch_size=batch_size,
        loss=loss,
        metrics=metrics,
        reported=reported,
        seed=seed,
        label_column=label_column,
        memory_bytes=memory_bytes,
        progress=progress,
        found=found,
        sha256=sha256,
    )
