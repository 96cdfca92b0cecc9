"""`phasegap diagnose`: one diagnosis in this process. The only part of the command line that loads TensorFlow."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from app.errors import Problem, problem_document


def diagnose_locally(
    model: Path, batch: Path, reported: str | None, options: dict[str, Any], *, as_json: bool
) -> dict[str, Any] | None:
    """Diagnose and print the report. Returns a problem document where the input is at fault."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's greeting is not part of the answer
    import analyzers
    from analyzers.errors import AnalysisError

    try:
        figures = _figures(reported)
        report = analyzers.diagnose_files(model, batch, reported=figures, progress=_progress(), **options)
    except AnalysisError as error:
        return problem_document(error.code, str(error))
    except Problem as problem:
        return problem.document()
    if as_json:
        print(report.model_dump_json(indent=2))
    else:
        from app.terminal import print_report

        print_report(report.model_dump(mode="json"))
    return None


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
