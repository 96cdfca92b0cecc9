"""How the diagnoses of one model follow each other: for each name the newest few, and all of one name in order."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from app.jobs.database import Database
from app.jobs.models import Diagnosis

MODELS_SHOWN = 8
DIAGNOSES_SHOWN = 12
LOOKED_BACK = 2_000
"""Reports among which models are counted for the dashboard: more than anybody has in mind, read in milliseconds."""
NAMED_LIMIT = 60
"""Diagnoses of one model that its own trend goes back over."""


@dataclass(frozen=True)
class ModelTrend:
    """A model's newest diagnoses with a report, oldest first; `total` counts those among the newest of all."""

    name: str
    diagnoses: list[Diagnosis]
    total: int


class Trends:
    """Reads finished diagnoses by model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest_models(self) -> list[ModelTrend]:
        """The models that were diagnosed last and more than once: there is nothing to follow in a single one. Among
        the newest reports, so that a long history makes no dashboard slow.
        """
        newest = (
            sa.select(Diagnosis.model_name, Diagnosis.created_at)
            .where(Diagnosis.status == "succeeded")
            .order_by(Diagnosis.created_at.desc())
            .limit(LOOKED_BACK)
            .subquery()
        )
        count, last = sa.func.count(), sa.func.max(newest.c.created_at)
        query = (
            sa.select(newest.c.model_name, count)
            .group_by(newest.c.model_name)
            .having(count > 1)
            .order_by(last.desc())
            .limit(MODELS_SHOWN)
        )
        with self._database.transaction() as session:
            counted = [(row[0], row[1]) for row in session.execute(query)]
        return [ModelTrend(name, self.of_model(name, DIAGNOSES_SHOWN), total) for name, total in counted]

    def of_model(self, name: str, limit: int = NAMED_LIMIT) -> list[Diagnosis]:
        """The newest diagnoses of this very model that have a report, oldest first."""
        query = (
            sa.select(Diagnosis)
            .where(Diagnosis.status == "succeeded", Diagnosis.model_name == name)
            .order_by(Diagnosis.created_at.desc(), Diagnosis.id.desc())
            .limit(limit)
        )
        with self._database.transaction() as session:
            return list(session.scalars(query))[::-1]
