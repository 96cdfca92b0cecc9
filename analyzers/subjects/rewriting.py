"""Copies of model files in which a few datasets differ and every other byte stays, where HDF5 and zip allow it."""

from __future__ import annotations

import copy
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py

from analyzers.subjects.keras_archive import WEIGHTS
from analyzers.subjects.patching import Span, checksum_places, is_copy, write_copy
from analyzers.subjects.placement import Patch, dataset_paths
from analyzers.subjects.seekable import content_start, open_seekable

CHUNK = 1 << 20
"""1 MiB at a time while copying members: constant memory for any size."""

ZIP64_FLOOR = 1 << 31
"""2 GiB: from here on a member needs the zip64 header, which `zipfile` must know before it writes."""


def spans_of(file: h5py.File, patch: Patch) -> list[Span] | None:
    """Which bytes of an HDF5 file the patch replaces; None where a dataset does not lie in one piece."""
    spans = []
    for name, (_, becomes) in patch.items():
        offset = file[name].id.get_offset()
        if offset is None:
            return None
        spans.append(Span(offset, becomes.tobytes()))
    return spans


def patch_hdf5(path: Path, patch: Patch) -> None:
    """Overwrite the datasets of `patch` in the file at `path`, by HDF5: for chunked or compressed ones."""
    with h5py.File(path, "r+") as file:
        for name, (_, becomes) in patch.items():
            file[name][...] = becomes


def copy_archive_with(source: Path, destination: Path, member: str, spans: Sequence[Span]) -> bool:
    """Copy a zip archive with other bytes at `spans` of a member, which count from its start.

    False where the member does not lie in it as it is, or where what was written is not what was meant.
    """
    with zipfile.ZipFile(source) as archive:
        info = archive.getinfo(member)
        places = checksum_places(archive, info)
        if places is None:
            return False
        start = content_start(archive, info)
    shifted = [Span(start + offset, content) for offset, content in spans]
    crc = write_copy(source, destination, shifted, range(start, start + info.file_size)).to_bytes(4, "little")
    checksums = [Span(place, crc) for place in places]
    with destination.open("r+b") as written:
        for place, content in checksums:
            os.pwrite(written.fileno(), content, place)
    return is_copy(source, destination, [*shifted, *checksums])


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


def member_names(path: Path, besides: str) -> list[str]:
    """Names of all members of an archive but one."""
    with zipfile.ZipFile(path) as archive:
        return [name for name in archive.namelist() if name != besides]


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
