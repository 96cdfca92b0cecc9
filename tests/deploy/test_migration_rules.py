"""Every migration leaves the version before able to serve; `phasegap migrate` makes it a step of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.jobs.schema import MIGRATIONS, VERSION_TABLE, migrate, schema_gap
from app.services import SchemaBehindError, prepare
from app.settings import Settings
from tests.deploy.migration_rules import breaches

FILES = sorted((MIGRATIONS / "versions").glob("[0-9]*.py"))

BAD = {
    "drops a column": "op.drop_column('diagnoses', 'note')",
    "drops in a batch": "with op.batch_alter_table('diagnoses') as t:\n        t.drop_column('note')",
    "renames": "op.alter_column('diagnoses', 'note', new_column_name='remark')",
    "demands a value": "op.add_column('diagnoses', sa.Column('note', sa.Text(), nullable=False))",
    "demands uniqueness": "op.create_index('one', 'diagnoses', ['note'], unique=True)",
    "by SQL": "op.execute('ALTER TABLE diagnoses DROP COLUMN note')",
}
GOOD = {
    "adds a column that may be empty": "op.add_column('diagnoses', sa.Column('note', sa.Text(), nullable=True))",
    "adds one with a default": "op.add_column('d', sa.Column('n', sa.Text(), nullable=False, server_default=''))",
    "makes a table": "op.create_table('t', sa.Column('n', sa.Text(), nullable=False))\n"
    "    op.create_index('i', 't', ['n'], unique=True)",
    "fills": "op.execute('UPDATE diagnoses SET note = stage WHERE note IS NULL')",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_migration_only_adds(path: Path) -> None:
    assert breaches(path) == []


@pytest.mark.parametrize("body", [*BAD.values(), *GOOD.values()], ids=[*BAD, *GOOD])
def test_the_rules_tell_good_from_bad(body: str, tmp_path: Path) -> None:
    path = tmp_path / "0099_example.py"
    path.write_text(f"def upgrade():\n    {body}\n\n\ndef downgrade():\n    op.drop_table('t')\n")
    assert bool(breaches(path)) == (body in BAD.values())
    path.write_text("CONTRACTS = 'unused since 1.2'\n" + path.read_text())
    assert breaches(path) == []


def _migrate(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", "migrate", "--data-dir", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_migrate_is_a_step_of_its_own(tmp_path: Path) -> None:
    assert _migrate(tmp_path / "data", "--check").returncode == 1
    assert not (tmp_path / "data").exists(), "--check changes nothing"
    waiting = Settings(data_dir=tmp_path / "data", migrate_at_start=False)
    with pytest.raises(SchemaBehindError, match="phasegap migrate"):
        prepare(waiting)
    done = _migrate(tmp_path / "data")
    assert done.returncode == 0, done.stderr
    prepare(waiting)


def test_a_schema_without_the_queues_tables_is_behind(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    migrate(settings)
    assert schema_gap(settings) is None
    assert "The queue's tables" in _migrate(tmp_path / "data", "--check").stderr


def test_a_schema_of_a_newer_version_is_worked_with(tmp_path: Path) -> None:
    """As after an upgrade that is taken back, or where an old process starts again while a new one is rolled out."""
    settings = Settings(data_dir=tmp_path / "data")
    prepare(settings)
    engine = sa.create_engine(settings.sqlalchemy_url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    prepare(settings)
    with engine.connect() as connection:
        assert connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")) == "9999"
    engine.dispose()
