"""Processes that start together over an empty database: one migrates, the others wait, none forever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.app.served import ROOT
from tests.cluster.postgres import Postgres

TOGETHER = 4
PREPARE = """
import sys
from pathlib import Path
from app.services import prepare
from app.settings import Settings
prepare(Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2]))
"""


def test_processes_that_start_together_all_come_up(postgres: Postgres, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PREPARE, str(tmp_path / "data"), postgres.url]
    started = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(TOGETHER)]
    try:
        for process in started:
            _, complaints = process.communicate(timeout=60)
            assert process.returncode == 0, complaints.decode()
    finally:
        for process in started:
            process.kill()
    assert postgres.rows("SELECT count(*) FROM diagnoses") == [(0,)]
    assert len(postgres.rows("SELECT version FROM dbos.dbos_migrations")) == 1
