"""Model files of every build and format, as fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_files import BUILDS, disturb, functional

KERAS_ONLY = ("registered", "brain_float")
"""What Keras does not write as `.h5`, or writes and cannot read."""

FILES = [(name, suffix) for name in BUILDS for suffix in ("keras", "h5") if suffix == "keras" or name not in KERAS_ONLY]


@pytest.fixture(params=FILES, ids=[".".join(file) for file in FILES])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of every build in every format that can hold it, its weights and statistics away from their start."""
    name, suffix = request.param
    model = BUILDS[name]()
    disturb(model)
    path = tmp_path / f"{name}.{suffix}"
    model.save(path)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A small `.keras` file."""
    functional().save(tmp_path / "plain.keras")
    return tmp_path / "plain.keras"


@pytest.fixture
def plain_h5(tmp_path: Path) -> Path:
    """A small `.h5` file."""
    functional().save(tmp_path / "plain.h5")
    return tmp_path / "plain.h5"
