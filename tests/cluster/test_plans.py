"""What is asked of the database again and again must not grow with the history. At length: `benchmarks.plans`."""

from __future__ import annotations

import pytest

from app.jobs.store import Filters
from benchmarks.plans import always, explained, filled
from tests.cluster.postgres import programs

HISTORY = 6_000
SMALL = ("sweep, 500 folders",)
"""Where a table is this short, reading it whole is the quickest way to a twelfth of its rows."""


@pytest.mark.skipif(programs() is None, reason="install Debian's postgresql")
def test_what_is_always_asked_reads_no_long_table_whole() -> None:
    with filled(HISTORY) as services:
        actions = always(services)
        scans = {name: explained(services.database.engine, action).scans for name, action in actions.items()}
        assert {name: tables for name, tables in scans.items() if tables and name not in SMALL} == {}
        searched = explained(
            services.database.engine, lambda: services.store.page(Filters(search="no such word"), 50, None)
        )
        assert searched.scans == {"diagnoses"}, "what does read everything is seen to do so"
