"""Numbers that only grow: jobs by how they ended, seconds by stage. Written with the settlement, read by `/metrics`.

They live in the database because workers count and web processes are asked; they outlive both, and the jobs themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.jobs.database import Database
from app.jobs.models import Tally
from app.jobs.states import Ending

JOBS = "jobs"
STAGE_COUNT = "stage_count"
STAGE_SUM = "stage_seconds"
STAGE_BUCKET = "stage_bucket"
BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
LABEL = re.compile(r"[a-z0-9_]{1,64}")
DISTINCT_LIMIT = 500

Increment = tuple[str, str, float]


def label(value: str | None) -> str:
    """A label that is safe to expose: reports come from guests that ran strangers' models."""
    return "none" if value is None else value if LABEL.fullmatch(value) else "other"


def job_labels(outcome: str, verdict: str | None, cause: str | None, code: str | None) -> str:
    return "|".join((label(outcome), label(verdict), label(cause), label(code)))


def increments_of(ending: Ending) -> list[Increment]:
    """What one settlement adds."""
    found: list[Increment] = [
        (JOBS, job_labels(ending.status, ending.verdict, ending.primary_cause, ending.error_code), 1.0)
    ]
    for stage, seconds in ending.stage_seconds.items():
        bucket = next((bound for bound in BUCKETS_SECONDS if seconds <= bound), "inf")
        found += [
            (STAGE_COUNT, label(stage), 1.0),
            (STAGE_SUM, label(stage), seconds),
            (STAGE_BUCKET, f"{label(stage)}|{bucket}", 1.0),
        ]
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
