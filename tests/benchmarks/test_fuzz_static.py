"""The fuzzing of the static pass in small: no spoilt file ends the process, and one that does is counted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.fuzz_static import MOST_BYTES, MOST_SECONDS, Tally, _counted, run, seeds, spoilt

COUNT = 250


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("seeds")
    seeds(made)
    return made


def test_spoilt_files_are_refused_or_read_and_never_end_the_process(folder: Path) -> None:
    tally = run(COUNT, folder=folder)
    assert tally.failures == []
    assert tally.outcomes.total() == COUNT
    assert tally.outcomes["ModelUnreadable"] > COUNT / 10
    assert tally.outcomes["read"] > COUNT / 10
    assert tally.seconds < MOST_SECONDS
    assert tally.memory_bytes < MOST_BYTES


def test_the_same_number_gives_the_same_file(folder: Path) -> None:
    files = [spoilt(index, folder) for index in range(20)]
    assert [spoilt(index, folder) for index in range(20)] == files
    assert len(set(files)) > 15


def test_dead_processes_and_wrong_errors_are_failures() -> None:
    tally = Tally()
    said = "begin 3\nend 3 0.0100 1000 !KeyError\nbegin 4\n"
    assert _counted(subprocess.CompletedProcess([], -11, said, "crash"), tally, 3) == 5
    assert [failure.split(":")[0] for failure in tally.failures] == ["3", "4"]
