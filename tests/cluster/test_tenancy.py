"""Quotas, the audit log and the separation of owners on PostgreSQL, as on SQLite."""

from __future__ import annotations

from pathlib import Path

from app.callers import narrowed_to
from app.jobs.store import Filters
from app.services import Services, prepare
from app.settings import Settings
from tests.app.test_audit import keep_the_lines
from tests.app.test_quotas import hold_the_quota, submission
from tests.cluster.postgres import Postgres


def test_it_holds_on_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url=postgres.url)
    prepare(settings)
    hold_the_quota(settings)
    keep_the_lines(settings)
    services = Services(settings)
    from app.callers import Quota

    mine, theirs = (submission(owner, Quota()) for owner in ("mine", "theirs"))
    for each in (mine, theirs):
        services.store.submit(each, None)
    for owner, seen in (("mine", {mine.id}), ("theirs", {theirs.id}), ("nobody", set()), (None, {mine.id, theirs.id})):
        with narrowed_to(owner):
            assert {row.id for row in services.store.page(Filters(), 10, None)[0]} == seen
            assert services.store.queue_figures()[0].get("queued", 0) == len(seen)
    services.close()
