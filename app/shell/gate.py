"""When a command fails a pipeline, and the exit statuses that say so."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

EXIT_FINE = 0
EXIT_GATE = 1
EXIT_INPUT_AT_FAULT = 2
EXIT_NO_ANSWER = 3

EXIT_STATUSES = (
    "Exit status: 0 nothing found at the level of --fail-on; 1 found; 2 model, batch or options are at fault; "
    "3 no answer (service not reachable, busy, broken, or not done in time)."
)

RANKS = {"info": 0, "warning": 1, "critical": 2}


class FailOn(StrEnum):
    """From which finding on the exit status is 1."""

    NEVER = "never"
    CRITICAL = "critical"
    WARNING = "warning"
    INCONCLUSIVE = "inconclusive"

    @property
    def severity(self) -> str:
        """The mildest severity that counts as a failure in a pipeline's files; they have no level of their own."""
        return "critical" if self is FailOn.CRITICAL else "warning"


def fails(report: dict[str, Any], level: FailOn) -> bool:
    """Whether a report fails the gate: by its severity, and with `inconclusive` also by an open question."""
    if level is FailOn.NEVER:
        return False
    open_question = level is FailOn.INCONCLUSIVE and report["verdict"] == "inconclusive"
    return open_question or is_at_least(report["severity"], level.severity)


def is_at_least(severity: str, floor: str) -> bool:
    """Whether a severity is as grave as another or graver; one that is not known counts as the gravest."""
    return RANKS.get(severity, RANKS["critical"]) >= RANKS[floor]
