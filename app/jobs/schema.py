"""Our tables' schema: bringing it up to date, and telling whether it is.

A schema that is *newer* than this code is left alone and worked with: migrations only add (docs/upgrading.md), so that
old processes go on, start again and even scale up while a new version is rolled out, or after it was taken back.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.jobs.database import make_engine, migration_lock
from app.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "phasegap_schema_version"


def migrate(settings: Settings) -> None:
    """Bring our tables up to date. Safe beside other processes that do the same: one at a time."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = _config()
    engine = make_engine(settings.sqlalchemy_url)
    try:
        with migration_lock(settings, engine), engine.begin() as connection:
            if _is_ours(_current(connection)):
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    finally:
        engine.dispose()


def schema_gap(settings: Settings) -> str | None:
    """In which way our tables are behind this version, in words; None where they are not."""
    if settings.database_url is None and not settings.data_dir.is_dir():
        return "There is no database yet."
    engine = make_engine(settings.sqlalchemy_url)
    try:
        with engine.connect() as connection:
            current, head = _current(connection), _scripts().get_current_head()
    finally:
        engine.dispose()
    if current == head or not _is_ours(current):
        return None
    return f"The database's schema is at {current or 'nothing'}, this version needs {head}."


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _current(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    table = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))
    return connection.scalar(sa.select(table.c.version_num))


def _is_ours(current: str | None) -> bool:
    """Whether this version knows a revision; one that it does not know was made by a newer version."""
    return current is None or current in {script.revision for script in _scripts().walk_revisions()}
