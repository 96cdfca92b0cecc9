"""Copies of model files in which a few datasets differ and every other byte stays, where HDF5 and zip allow it."""

from __future__ import annotations

import copy
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py

from analyzers.subjects.keras_archive import WEIGHTS
from analyzers.subjects.placement import Patch, dataset_paths
from analyzers.subjects.seekable import open_seekable

CHUNK = 1 << 20
"""1 MiB at a time while copying members: constant memory for any size."""

ZIP64_FLOOR = 1 << 31
"""2 GiB: from here on a member needs the zip64 header, which `zipfile` must know before it writes."""


def patch_hdf5(path: Path, patch: Patch) -> None:
    """Overwrite the datasets of `patch` in the file at `path`.

    Where a dataset lies in one piece its bytes are overwritten directly, so that HDF5 has no chance to touch anything
    else; chunked or compressed ones go through HDF5.
    """
    with h5py.File(path, "r") as file:
        offsets = {name: file[name].id.get_offset() for name in patch}
    rest: Patch = {}
    with path.open("r+b") as raw:
        for name, (was, becomes) in patch.items():
            offset, old = offsets[name], was.tobytes()
            if offset is None or os.pread(raw.fileno(), len(old), offset) != old:
                rest[name] = (was, becomes)
            else:
                os.pwrite(raw.fileno(), becomes.tobytes(), offset)
    if rest:
        with h5py.File(path, "r+") as file:
            for name, (_, becomes) in rest.items():
                file[name][...] = becomes


def copy_archive(source: Path, destination: Path, member: str, content: Path) -> None:
    """Copy a zip archive member by member, `member` taken from the file `content`; order, dates and comments stay."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(destination, "w") as new:
        new.comment = old.comment
        for info in old.infolist():
            large = info.file_size >= ZIP64_FLOOR
            with ExitStack() as opened:
                data = opened.enter_context(content.open("rb") if info.filename == member else old.open(info))
                written = opened.enter_context(new.open(_fresh(info), "w", force_zip64=large))
                shutil.copyfileobj(data, written, CHUNK)


def extract_member(source: Path, member: str, destination: Path) -> None:
    """Write one member of a zip archive to a file of our own naming."""
    with zipfile.ZipFile(source) as archive, archive.open(member) as data, destination.open("wb") as written:
        shutil.copyfileobj(data, written, CHUNK)


@contextmanager
def open_weights(path: Path) -> Iterator[h5py.File]:
    """The weights file inside of a `.keras` archive, for reading."""
    with (
        zipfile.ZipFile(path) as archive,
        open_seekable(archive, WEIGHTS) as member,
        h5py.File(member, "r") as file,
    ):
        yield file


def identical_members(first: Path, second: Path, besides: str) -> list[str] | None:
    """Names of the members but `besides`, None where the archives list different members or one of them differs."""
    with zipfile.ZipFile(first) as a, zipfile.ZipFile(second) as b:
        if a.namelist() != b.namelist():
            return None
        others = [name for name in a.namelist() if name != besides]
        return others if all(_same_member(a, b, name) for name in others) else None


def differing_datasets(first: h5py.File, second: h5py.File) -> list[str] | None:
    """Paths of the datasets that differ between two files, None where they do not have the same datasets."""
    paths = dataset_paths(first)
    if paths != dataset_paths(second):
        return None
    return [path for path in paths if first[path][()].tobytes() != second[path][()].tobytes()]


def _fresh(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    fresh = copy.copy(info)
    if info.file_size >= ZIP64_FLOOR:
        fresh.extra = b""  # holds the old zip64 sizes; `zipfile` writes new ones
    return fresh


def _same_member(a: zipfile.ZipFile, b: zipfile.ZipFile, name: str) -> bool:
    with a.open(name) as first, b.open(name) as second:
        while True:
            left, right = first.read(CHUNK), second.read(CHUNK)
            if left != right:
                return False
            if not left:
                return True
