"""Numbers that only grow: jobs by how they ended, seconds by stage, memory. Written with what they count, read by
`/metrics`.

They live in the database because workers count and web processes are asked; they outlive both, and the jobs themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.jobs.database import Database
from app.jobs.models import Tally
from app.jobs.states import Ending
from app.reference import reference

JOBS = "jobs"
LIMITS = "limits"
REQUEUED = "requeued"
REASONS = ("lost", "let_go", "stranded", "store_away", "no_room")
"""Why a run is put back: its worker died, its worker ended, the queue would not hand it out, its files were away, they
did not fit on its worker's disk.
"""
REUSED = "reused"
BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
MIB = 1024 * 1024
BUCKETS_BYTES = tuple(float(n * MIB) for n in (256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192, 16384))
"""An empty guest has 250 MiB, which it shares with its warm parent; by default it may have 4 GiB."""
LABEL = re.compile(r"[a-z0-9_]{1,64}")
DISTINCT_LIMIT = 500

Increment = tuple[str, str, float]


@dataclass(frozen=True)
class Distribution:
    """A histogram with one label, as tallies: the sum by label, and the count by label and upper bound."""

    sums: str
    counts: str
    bounds: tuple[float, ...]

    def increments(self, name: str | None, value: float) -> list[Increment]:
        """What one observation adds."""
        bound = next((str(b) for b in self.bounds if value <= b), "inf")
        return [(self.sums, label(name), value), (self.counts, f"{label(name)}|{bound}", 1.0)]


STAGES = Distribution("stage_seconds", "stage_bucket", BUCKETS_SECONDS)
MEMORY = Distribution("guest_memory_sum", "guest_memory_bucket", BUCKETS_BYTES)


def label(value: str | None) -> str:
    """A label that is safe to expose: reports come from guests that ran strangers' models."""
    return "none" if value is None else value if LABEL.fullmatch(value) else "other"


def job_labels(outcome: str, verdict: str | None, cause: str | None, code: str | None) -> str:
    return "|".join((label(outcome), label(verdict), label(cause), label(code)))


def increments_of(ending: Ending) -> list[Increment]:
    """What one settlement adds."""
    known = ending.primary_cause is None or reference().cause(ending.primary_cause) is not None
    cause = ending.primary_cause if known else "other"
    found: list[Increment] = [(JOBS, job_labels(ending.status, ending.verdict, cause, ending.error_code), 1.0)]
    for stage, seconds in ending.stage_seconds.items():
        found += STAGES.increments(stage, seconds)
    if ending.limit is not None:
        found.append((LIMITS, label(ending.limit), 1.0))
    if ending.peak_memory_bytes:
        found += MEMORY.increments(ending.status, float(ending.peak_memory_bytes))
    return found


def add(session: Session, increments: Iterable[Increment]) -> None:
    """Add in the caller's transaction. A label beyond the limit of distinct ones counts as `other`."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    crowded = session.scalar(sa.select(sa.func.count()).select_from(Tally)) or 0
    for metric, labels, amount in increments:
        known = crowded < DISTINCT_LIMIT or session.get(Tally, (metric, labels)) is not None
        statement = insert(Tally).values(metric=metric, labels=labels if known else "other", value=amount)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["metric", "labels"], set_={"value": Tally.value + statement.excluded.value}
            )
        )


def read(database: Database) -> dict[str, dict[str, float]]:
    """All tallies, by metric and labels."""
    found: dict[str, dict[str, float]] = {}
    with database.transaction() as session:
        for tally in session.scalars(sa.select(Tally)):
            found.setdefault(tally.metric, {})[tally.labels] = tally.value
    return found
