"""The words that filters take. What a report can say is a closed list; another word is a mistake, not an empty list."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, get_args

from pydantic import AfterValidator, Field

from analyzers import report

VERDICTS: tuple[str, ...] = get_args(report.Verdict)
CAUSES: tuple[str, ...] = tuple(
    # A cause's code is its file's name; importing them would load the analysis into the web process.
    sorted(path.stem for path in (Path(inspect.getfile(report)).parent / "causes").glob("[!_]*.py"))
)


def _known_cause(code: str) -> str:
    if code not in CAUSES:
        raise ValueError(f"is no cause code. Known: {', '.join(CAUSES)}"[:2000])
    return code


CauseCode = Annotated[str, AfterValidator(_known_cause), Field(json_schema_extra={"enum": list(CAUSES)})]
