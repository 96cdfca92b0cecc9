"""A PostgreSQL of a benchmark's own, started and thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.postgres import Postgres, programs


@contextmanager
def fresh(**configuration: str) -> Iterator[tuple[Postgres, Path]]:
    """A server with an empty database, and a folder for whoever uses it. Its settings are PostgreSQL's own."""
    bin_folder = programs()
    if bin_folder is None:
        raise SystemExit("PostgreSQL's programs are not here: install Debian's postgresql")
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as data:
        postgres = Postgres(Path(place), bin_folder, **configuration)
        try:
            yield postgres, Path(data)
        finally:
            postgres.stop()
