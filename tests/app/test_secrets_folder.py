"""Settings out of files, as containers are given secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.secrets_folder import FOLDER
from app.settings import Settings

URL = "postgresql+psycopg://phasegap:word@database/phasegap"
DIGEST = "ab" * 32


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    (tmp_path / "phasegap_database_url").write_text(f"{URL}\n")
    (tmp_path / "PHASEGAP_API_KEY_HASHES").write_text(f'["{DIGEST}"]')
    (tmp_path / "unrelated").write_text("not ours")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_files_say_what_variables_would() -> None:
    assert Settings().database_url == URL
    assert Settings().api_key_hashes == (DIGEST,)


@pytest.mark.usefixtures("folder")
def test_variables_and_arguments_go_before_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASEGAP_DATABASE_URL", "sqlite:////elsewhere")
    assert Settings().database_url == "sqlite:////elsewhere"
    assert Settings(database_url="sqlite:////here").database_url == "sqlite:////here"


@pytest.mark.parametrize("spoil", ["gone", "misspelt"])
def test_what_is_wrong_is_said_in_a_line(folder: Path, spoil: str) -> None:
    environment = dict(os.environ)
    if spoil == "gone":
        environment[FOLDER] = str(folder / "not-mounted")
    else:
        (folder / "PHASEGAP_API_KEY_HASHES").write_text("[not JSON")
    command = [sys.executable, "-m", "app.cli", "settings"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ("not-mounted" if spoil == "gone" else "api_key_hashes") in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
