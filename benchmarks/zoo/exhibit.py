"""One model of the zoo: what it is called, how it is prepared, and what came of its diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

REPLAY_TOLERANCE = 1e-5
"""Relative: float32 rounding of a reduction in another order. Held apart from the engine's own constant on purpose."""

Outcome = Literal["report", "refused", "left out", "crash"]


class LeftOut(Exception):  # noqa: N818  no error: a decision
    """The model is not diagnosed; the message is the reason."""


@dataclass(frozen=True)
class Exhibit:
    """One row to come. `limit_seconds` of wall time for preparing and diagnosing; `source`: a file it is made from."""

    part: str
    name: str
    version: str
    limit_seconds: float
    family: str = ""
    source: Path | None = None

    @property
    def key(self) -> str:
        """The same for the same model."""
        return f"{self.part} {self.name} {self.version}"


@dataclass(frozen=True)
class Refusal:
    """An error that is the right answer: its problem code, what its message must name (all of `says`, one of `some`),
    and what it must not.
    """

    code: str
    says: tuple[str, ...] = ()
    some: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """The files of one diagnosis, and what is promised of it.

    `normalizing`: how many batch-normalizing layers the model has, counted by whoever built it; None where nobody here
    did. `plausible`: causes that may be called warning or critical, since the model is in such a state; None: whatever
    is said is shown and not judged. `refusal`: the error that is expected in place of a report. `draws`: whether
    anything in it is random, which makes a gap by design; None: unknown. `replay_tolerance`: relative.
    """

    model: Path
    batch: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    normalizing: int | None = None
    plausible: frozenset[str] | None = frozenset()
    refusal: Refusal | None = None
    draws: bool | None = None
    replay_tolerance: float = REPLAY_TOLERANCE


@dataclass(frozen=True)
class Row:
    """What came of it. `broken` names every promise that was not kept; `said` is a refusal's, or a crash's, message.

    `replay`: the largest relative difference of replayed statistics; None where no layer normalizes by the batch.
    """

    part: str
    name: str
    version: str
    family: str
    outcome: Outcome
    seconds: float
    loaded_by: str = ""
    phases: str = ""
    layers: int | None = None
    normalizing: int | None = None
    verdict: str = ""
    primary: str | None = None
    replay: float | None = None
    said: str = ""
    broken: list[str] = field(default_factory=list)
