"""`phasegap diagnose`: one diagnosis in this process. The only part of the command line that loads TensorFlow."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.errors import InputProblem, InvalidRequest
from app.sandbox.custom import CustomClassesUnusable, register
from phasegap.progress import line, shown


def diagnose_locally(
    model: Path, batch: Path, options: dict[str, Any], custom_classes: Sequence[str] = ()
) -> dict[str, Any]:
    """The report on a model in this process. `custom_classes` are modules to import first, from the current folder too.

    Raises:
        Problem: the input is at fault.
    """
    _import_quietly()
    try:
        register(custom_classes, Path.cwd() if custom_classes else None)
    except CustomClassesUnusable as error:
        raise InvalidRequest(f"{str(error)[0].upper()}{str(error)[1:]}.") from error
    import analyzers
    from analyzers.errors import AnalysisError

    try:
        with shown(True) as tell:
            report = analyzers.diagnose_files(model, batch, progress=tell, found=line, **options)
    except AnalysisError as error:
        raise InputProblem(error.code, str(error)) from error
    found: dict[str, Any] = report.model_dump(mode="json")
    return found


def figures_of(reported: str | None) -> dict[str, float] | None:
    """The figures of `--reported`.

    Raises:
        InvalidRequest: they are no JSON object of numbers.
    """
    from app.api.options import parse_options

    figures: dict[str, float] | None = parse_options({"reported": reported or ""}).get("reported")
    return figures


def _import_quietly() -> None:
    """Load TensorFlow without its greeting, of which its libraries write a part past Python and past its settings."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    spoken, silence = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    try:
        import keras  # noqa: F401 - what the analysis imports a moment later
    finally:
        os.dup2(spoken, 2)
        os.close(spoken)
        os.close(silence)
