"""`phasegap diagnose`: one diagnosis in this process. The only part of the command line that loads TensorFlow."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.errors import Problem, problem_document
from app.sandbox.custom import CustomClassesUnusable, register


def diagnose_locally(
    model: Path,
    batch: Path,
    reported: str | None,
    options: dict[str, Any],
    custom_classes: Sequence[str] = (),
    *,
    as_json: bool,
) -> dict[str, Any] | None:
    """Diagnose and print the report. Returns a problem document where the input is at fault.

    `custom_classes` are modules to import first, looked for in the current folder too.
    """
    _import_quietly()
    try:
        register(custom_classes, Path.cwd() if custom_classes else None)
    except CustomClassesUnusable as error:
        return problem_document("invalid_request", f"{str(error)[0].upper()}{str(error)[1:]}.")
    import analyzers
    from analyzers.errors import AnalysisError

    try:
        figures = _figures(reported)
        report = analyzers.diagnose_files(
            model, batch, reported=figures, progress=_progress(), found=_found(), **options
        )
    except AnalysisError as error:
        return problem_document(error.code, str(error))
    except Problem as problem:
        return problem.document()
    if as_json:
        print(report.model_dump_json(indent=2))
    else:
        _print(report.model_dump(mode="json"), options.get("repaired_path"))
    return None


def _print(report: dict[str, Any], repaired: Path | None) -> None:
    from app.terminal import print_report

    print_report(report)
    if any(remedy["repaired_model"] for remedy in report["remedies"]):
        hint = "A repaired model can be had: run this again with --repaired PATH."
        print(hint if repaired is None else f"The repaired model: {repaired}")


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


def _figures(reported: str | None) -> dict[str, float] | None:
    from app.api.options import parse_options

    figures: dict[str, float] | None = parse_options({"reported": reported or ""}).get("reported")
    return figures


def _progress() -> Any:
    """Shows stages on a terminal; says nothing where the output is read by a program."""
    if not sys.stderr.isatty():
        return None

    def show(stage: str, fraction: float) -> None:
        print(f"\r{stage:<10} {fraction:4.0%}", end="" if fraction < 1 else "\n", file=sys.stderr, flush=True)

    return show


def _found() -> Any:
    """Shows on a terminal what was found in the model file."""
    return (lambda line: print(f"\r{line}", file=sys.stderr)) if sys.stderr.isatty() else None
