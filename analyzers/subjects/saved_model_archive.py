"""Archives of SavedModel folders, `.zip`, `.tar` and `.tar.gz`: unpacked within limits, and packed again.

No member twice, none outside the archive, no links or devices, none that unpacks to an absurd size. What is packed
again is the upload, member by member, with new content for a few.
"""

from __future__ import annotations

import copy
import gzip
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from analyzers.errors import ModelUnreadable, ModelUnsafe, UnsupportedModelFormat
from analyzers.subjects.archive import (
    BOMB_FLOOR_BYTES,
    MAX_EXPANSION,
    MAX_MEMBERS,
    MAX_UNPACKED_BYTES,
    check_archive,
)

GZIP_MAGIC = b"\x1f\x8b"
GRAPH = "saved_model.pb"
INDEX = ".index"
SHARD = re.compile(r"\.data-\d{5}-of-\d{5}$")
"""What the files of a TensorFlow checkpoint end in."""

SHOWN = 4
"""Members named in a message: enough to recognize an archive by."""

DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, EOFError, gzip.BadGzipFile, NotImplementedError, ValueError, zlib.error
)  # fmt: skip
"""What readers of archives raise on broken ones."""

CHUNK = 1 << 20
"""1 MiB at a time while copying: constant memory for any size."""

FILE_AND_FOLDER = "The archive has a member that is a file and a folder at once."

NOT_OURS = ("__MACOSX/", ".DS_Store")
"""What archivers of other systems add."""


def unpack(path: Path, folder: Path) -> str:
    """Unpack the archive at `path` into the empty `folder`; returns where in it the SavedModel stands, "" or "a/b".

    Raises:
        ModelUnsafe: members outside of the archive, doubled, linked, or unpacking to absurd sizes.
        ModelUnreadable: damaged or cut short.
        UnsupportedModelFormat: no SavedModel in it, or several.
    """
    return root_of(unpack_members(path, folder, lambda _: True))


def unpack_members(path: Path, folder: Path, wanted: Callable[[str], bool]) -> list[str]:
    """Unpack those members of an archive whose names are `wanted` into the empty `folder`; returns all names.

    Raises:
        ModelUnsafe: members outside of the archive, doubled, linked, or unpacking to absurd sizes.
        ModelUnreadable: damaged or cut short.
    """
    unpack_all = _unpack_zip if zipfile.is_zipfile(path) else _unpack_tar
    try:
        names = list(unpack_all(path, folder, wanted))
    except DAMAGED as error:
        raise ModelUnreadable("The model archive is damaged or cut short. Send it again.") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ModelUnsafe(FILE_AND_FOLDER) from error
    if {str(folder) for name in names for folder in PurePosixPath(name).parents} & set(names):
        raise ModelUnsafe(FILE_AND_FOLDER)
    return names


def repack(upload: Path, destination: Path, root: str, contents: Mapping[str, Path | None]) -> list[str]:
    """Write the archive `upload` anew to `destination`; returns the names of the members that were kept as they are.

    `contents` gives new content by name within the SavedModel (`variables/variables.index`); None leaves a member out.
    """
    wanted = {f"{root}/{name}" if root else name: content for name, content in contents.items()}
    pack = _repack_zip if zipfile.is_zipfile(upload) else _repack_tar
    return pack(upload, destination, wanted)


def root_of(names: list[str]) -> str:
    """Where among an archive's members the SavedModel stands. Raises UnsupportedModelFormat where there is none."""
    found = [n for n in names if PurePosixPath(n).name == GRAPH]
    if len(found) == 1:
        return "" if found[0] == GRAPH else str(PurePosixPath(found[0]).parent)
    if found:
        raise UnsupportedModelFormat(f"The archive holds {len(found)} SavedModel folders. Send one.")
    if any(PurePosixPath(n).name == "saved_model.pbtxt" for n in names):
        raise ModelUnreadable("The SavedModel's graph is written as text (`saved_model.pbtxt`). Save it as binary.")
    raise UnsupportedModelFormat(
        f"The archive holds no {GRAPH}: it is no SavedModel folder. {contents(names)} Send the whole folder, a .keras "
        "file or a full-model .h5 file."
    )


def contents(names: list[str]) -> str:
    """An archive's members in one sentence, the first few by name."""
    shown = ", ".join(f"`{name[:60]}`" for name in names[:SHOWN])
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"It holds {shown}{rest}." if names else "It is empty."


def is_small(name: str) -> bool:
    """Whether a member is read before the weights are: what describes a SavedModel."""
    return PurePosixPath(name).name in (GRAPH, "keras_metadata.pb")


def is_checkpoint(names: Iterable[str]) -> bool:
    """Whether members are those of a TensorFlow checkpoint: an index and shards of data, and no graph beside them."""
    names = list(names)
    parts = any(n.endswith(INDEX) for n in names) and any(SHARD.search(n) for n in names)
    return parts and not any(PurePosixPath(n).name.startswith(GRAPH) for n in names)


class _Budget:
    """Counts names and bytes while unpacking, and refuses what is too much."""

    def __init__(self, archive_size: int) -> None:
        self.names: set[str] = set()
        self.unpacked = 0
        self.most = min(MAX_UNPACKED_BYTES, max(BOMB_FLOOR_BYTES, MAX_EXPANSION * archive_size))

    def name(self, name: str) -> str:
        """The name without "./" in front, once it was found to stay inside."""
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if name.startswith(("/", "\\")) or ".." in parts or "\0" in name or (parts and ":" in parts[0]):
            raise ModelUnsafe(f"The archive's member {name[:80]!r} would be written outside of it.")
        plain = "/".join(parts)
        if plain in self.names:
            raise ModelUnsafe(f"The archive has two members named {plain[:80]!r}: which one counts is not defined.")
        self.names.add(plain)
        if len(self.names) > MAX_MEMBERS:
            raise ModelUnsafe(f"The archive has more than {MAX_MEMBERS} members; no SavedModel needs them.")
        return plain

    def copy(self, data: IO[bytes], target: Path) -> None:
        """Write a member out, as far as it is allowed to go."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            while chunk := data.read(CHUNK):
                self.count(len(chunk))
                file.write(chunk)

    def count(self, size: int) -> None:
        """Take so many bytes off the budget."""
        self.unpacked += size
        if self.unpacked > self.most:
            raise ModelUnsafe("The archive unpacks to absurdly more than it stores: no trained weights do.")


def _unpack_zip(path: Path, folder: Path, wanted: Callable[[str], bool]) -> Iterator[str]:
    size = path.stat().st_size
    budget = _Budget(size)
    with zipfile.ZipFile(path) as archive:
        check_archive(archive, size)
        for info in archive.infolist():
            name = budget.name(info.filename)
            if info.is_dir() or _is_foreign(name):
                continue
            if wanted(name):
                with archive.open(info) as data:
                    budget.copy(data, folder / name)
            yield name


def _unpack_tar(path: Path, folder: Path, wanted: Callable[[str], bool]) -> Iterator[str]:
    budget = _Budget(path.stat().st_size)
    with _open_tar(path) as archive:
        for info in archive:
            name = budget.name(info.name)
            if info.isdir() or _is_foreign(name):
                continue
            if not info.isreg() or info.issparse():
                raise ModelUnsafe(f"The archive's member {name[:80]!r} is a link or device, not a file.")
            if wanted(name):
                _unpack_file(archive, info, folder / name, budget)
            else:
                budget.count(info.size)
            yield name


def _unpack_file(archive: tarfile.TarFile, info: tarfile.TarInfo, target: Path, budget: _Budget) -> None:
    data = archive.extractfile(info)
    assert data is not None
    budget.copy(data, target)
    if target.stat().st_size != info.size:
        raise ModelUnreadable("The model archive is cut short. Send it again.")


def _is_foreign(name: str) -> bool:
    return name.startswith(NOT_OURS[0]) or name.rsplit("/", 1)[-1].startswith(("._", NOT_OURS[1]))


@contextmanager
def _open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar archive read once from front to end, plain or through gzip; no other compression."""
    with path.open("rb") as raw:
        packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    with tarfile.open(path, "r|gz" if packed else "r|") as archive:
        yield archive


def _repack_zip(upload: Path, destination: Path, wanted: Mapping[str, Path | None]) -> list[str]:
    kept = []
    with zipfile.ZipFile(upload) as old, zipfile.ZipFile(destination, "w") as new:
        new.comment = old.comment
        for info in old.infolist():
            plain = _plain(info.filename)
            if plain in wanted and wanted[plain] is None:
                continue
            content = wanted.get(plain)
            fresh = copy.copy(info)
            fresh.extra = b""  # old sizes may stand here; `zipfile` writes new ones
            size = info.file_size if content is None else content.stat().st_size
            fresh.file_size = size
            with (
                content.open("rb") if content is not None else old.open(info) as data,
                new.open(fresh, "w", force_zip64=size >= zipfile.ZIP64_LIMIT) as written,
            ):
                shutil.copyfileobj(data, written, CHUNK)
            if content is None and not info.is_dir():
                kept.append(plain)
        for name in _missing(wanted, {_plain(i.filename) for i in old.infolist()}):
            new.write(wanted[name] or "", name)
    return kept


def _repack_tar(upload: Path, destination: Path, wanted: Mapping[str, Path | None]) -> list[str]:
    kept, seen = [], set()
    with _open_tar(upload) as old, _writable_tar(upload, destination) as new:
        for info in old:
            plain = _plain(info.name)
            seen.add(plain)
            content = wanted.get(plain)
            if plain in wanted and content is None:
                continue
            if content is not None:
                _add(new, info, content)
            else:
                new.addfile(info, old.extractfile(info) if info.isreg() else None)
                kept += [plain] if info.isreg() else []
        for name in _missing(wanted, seen):
            _add(new, tarfile.TarInfo(name), wanted[name] or Path())
    return kept


def _add(archive: tarfile.TarFile, info: tarfile.TarInfo, content: Path) -> None:
    fresh = copy.copy(info)
    fresh.size = content.stat().st_size
    fresh.pax_headers = {k: v for k, v in info.pax_headers.items() if k != "size"}
    with content.open("rb") as data:
        archive.addfile(fresh, data)


def _missing(wanted: Mapping[str, Path | None], seen: set[str]) -> list[str]:
    return [name for name, content in wanted.items() if content is not None and name not in seen]


def _plain(name: str) -> str:
    return "/".join(PurePosixPath(name.replace("\\", "/")).parts)


@contextmanager
def _writable_tar(upload: Path, destination: Path) -> Iterator[Any]:
    with upload.open("rb") as raw:
        packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    if not packed:
        with tarfile.open(destination, "w") as archive:
            yield archive
        return
    # the time of packing stays out, so that the same repair gives the same bytes
    with (
        destination.open("wb") as out,
        gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):
        yield archive
