"""The host's reading of a job folder, in which a guest that broke out of its cage could have left anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.sandbox.jobfolder import REPORT, JobFolder, discard, repaired_name
from app.sandbox.protocol import Task

TASK = Task(diagnosis_id="d", model_file="m.keras", batch_file="b.npz")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[JobFolder]:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "job" / "in").mkdir(parents=True)
    with JobFolder(tmp_path / "job", TASK) as folder:
        yield folder


def leave(folder: JobFolder, name: str, what: str) -> None:
    path, secret = folder.path / "out" / name, folder.path.parent / "secret"
    {
        "link": lambda: path.symlink_to(secret),
        "hard link": lambda: path.hardlink_to(secret),
        "pipe": lambda: os.mkfifo(path),
        "folder": lambda: path.mkdir(),
        "empty": lambda: path.touch(),
        "long": lambda: path.write_text("x" * 1000),
    }[what]()


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "long"])
def test_what_is_no_short_file_is_not_read(folder, what):
    leave(folder, REPORT, what)
    assert folder.read(REPORT, 100) is None
    folder.tidy()
    assert what == "long" or not os.listdir(folder.path / "out")


@pytest.mark.parametrize("what", ["link", "hard link", "pipe", "folder", "empty", "long"])
def test_what_is_no_sound_model_is_not_taken(folder, what):
    leave(folder, "repaired.keras", what)
    assert folder.take_repaired(100) is None
    assert not os.path.lexists(folder.path / "repaired.keras")


def test_the_hosts_report_replaces_the_guests(folder):
    leave(folder, REPORT, "link")
    folder.write(REPORT, "new")
    assert folder.read(REPORT, 100) == b"new"
    assert (folder.path.parent / "secret").read_text() == "secret"


def test_progress_comes_line_by_line(folder):
    progress = folder.path / "out" / "progress.jsonl"
    progress.write_text('{"stage":"load","fraction":0.1}\n{"stage":"mea')
    assert [line.stage for line in folder.new_progress()] == ["load"]
    with progress.open("a") as file:
        file.write('sure","fraction":0.2}\n')
    assert [line.stage for line in folder.new_progress()] == ["measure"]
    assert folder.new_progress() == []


def test_progress_without_lines_costs_nothing_in_the_end(folder):
    (folder.path / "out" / "progress.jsonl").write_bytes(b"x" * (1 << 20))
    for _ in range(20):
        assert folder.new_progress() == []
    assert folder._progress_read >= 1 << 18


def test_output_is_counted_over_folders_and_not_through_links(folder):
    inner = folder.path / "scratch" / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").write_bytes(b"x" * 5000)
    (inner / "link").symlink_to("/usr")
    assert 5000 <= folder.output_bytes() < 50_000


def test_a_bottomless_folder_is_removed(tmp_path):
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(5000):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    discard(tmp_path / "d")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("upload", "name"),
    [("m.keras", "repaired.keras"), ("m.tar.gz", "repaired.tar.gz"), ("a.b.h5", "repaired.h5"), ("m", "repaired")],
)
def test_the_repaired_model_keeps_the_suffix(upload, name):
    assert repaired_name(upload) == name


def test_a_second_run_starts_afresh(folder):
    leave(folder, REPORT, "long")
    with JobFolder(folder.path, TASK) as again:
        assert again.read(REPORT, 10_000) is None
