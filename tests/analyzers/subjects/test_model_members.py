"""Members of archives read in any order, stored or compressed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analyzers.subjects.seekable import open_seekable

CONTENT = bytes(range(256)) * 20


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, len(CONTENT) + 50), st.integers(0, 9000)), max_size=6),
    compression=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_any_order_of_reads_gives_the_members_bytes(
    steps: list[tuple[int, int]], compression: int, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", compression) as archive:
        archive.writestr("before", b"x" * 100)
        archive.writestr("größe/member", CONTENT)
        archive.writestr("after", b"y" * 100)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, open_seekable(archive, "größe/member") as member:
        for place, count in steps:
            assert member.seek(place) == place
            assert member.read(count) == CONTENT[place : place + count]
        assert member.seek(0, io.SEEK_END) == len(CONTENT)
        assert member.read() == b""


def test_a_member_that_is_not_there(tmp_path: Path) -> None:
    zipfile.ZipFile(tmp_path / "a.zip", "w").close()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, pytest.raises(KeyError), open_seekable(archive, "none"):
        pass
