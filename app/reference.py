"""The reference of all causes, as the web process knows it: a file that `make causes` writes from the analysis."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

CAUSES = "/causes"
"""Where the web process serves it."""

FILE = Path(__file__).with_suffix(".json")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EvidenceMeaning(_Part):
    """A piece of evidence by the name that it has in a report, and what it is held against."""

    name: str
    meaning: str


class LookAlike(_Part):
    """Another cause that looks alike, and what tells the two apart."""

    code: str
    difference: str


class CauseEntry(_Part):
    """One cause. `benign`: nothing is wrong. `residual`: named only where no specific cause is. `outside`: no
    difference between the phases comes from it.
    """

    code: str
    title: str
    what: str
    source: str
    looks: str
    benign: bool
    residual: bool
    outside: bool
    evidence: list[EvidenceMeaning]
    look_alikes: list[LookAlike]
    remedies: list[str]


class RemedyEntry(_Part):
    """One remedy. `trial`: what the service can try of it. `snippet`: the form of the code that a report prints."""

    code: str
    title: str
    what: str
    trial: str
    snippet: str | None
    treats: list[str]


class Reference(_Part):
    """All causes that a report can name, and all remedies that it can give."""

    causes: list[CauseEntry]
    remedies: list[RemedyEntry]

    def cause(self, code: str) -> CauseEntry | None:
        """The cause of this code."""
        return next((c for c in self.causes if c.code == code), None)

    def remedies_for(self, cause: CauseEntry) -> list[RemedyEntry]:
        """The remedies that treat a cause."""
        return [r for r in self.remedies if r.code in cause.remedies]


@cache
def reference() -> Reference:
    """The reference, read once."""
    return Reference.model_validate_json(FILE.read_bytes())
