"""A sweep by a host whose clock is wrong."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from app.blobs import local
from app.blobs.local import LocalBlobs


@pytest.mark.parametrize("off_s", [3600.0, -3600.0])
def test_a_wrong_clock_takes_no_upload_whose_row_is_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off_s: float
) -> None:
    blobs = LocalBlobs(tmp_path)
    young, old = (tmp_path / "diagnoses" / name for name in ("young", "old"))
    for folder in (young, old):
        (folder / "upload").mkdir(parents=True)
    stamped_s = os.stat(young).st_mtime - local.ORPHAN_AGE_S - 60
    os.utime(old, (stamped_s, stamped_s))
    told_s = time.time
    monkeypatch.setattr(time, "time", lambda: told_s() + off_s)
    assert blobs.sweep(lambda _: set()) == 1
    assert young.exists()
    assert not old.exists()
