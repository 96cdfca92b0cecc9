"""Archives of SavedModel folders, `.zip`, `.tar` and `.tar.gz`: unpacked within limits, and packed again.

No member twice, none outside the archive, no links or devices, none that unpacks to an absurd size. What is packed
again is the upload, member by member, with new content for a few.
"""

from __future__ import annotations

import copy
import gzip
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
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
CHUNK = 1 << 20
"""1 MiB at a time while copying: constant memory for any size."""

NOT_OURS = ("__MACOSX/", ".DS_Store")
"""What archivers of other systems add."""


def unpack(path: Path, folder: Path) -> str:
    """Unpack the archive at `path` into the empty `folder`; returns where in it the SavedModel stands, "" or "a/b".

    Raises:
        ModelUnsafe: members outside of the archive, doubled, linked, or unpacking to absurd sizes.
        ModelUnreadable: damaged or cut short.
        UnsupportedModelFormat: no SavedModel in it, or several.
    """
    try:
        names = list(_unpack_zip(path, folder) if zipfile.is_zipfile(path) else _unpack_tar(path, folder))
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, gzip.BadGzipFile, NotImplementedError, ValueError) as error:
        raise ModelUnreadable("The model archive is damaged or cut short. Send it again.") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ModelUnsafe("The archive has a member that is a file and a folder at once.") from error
    return _root(names)


def repack(upload: Path, destination: Path, root: str, contents: Mapping[str, Path | None]) -> list[str]:
    """Write the archive `upload` anew to `destination`; returns the names of the members that were kept as they are.

    `contents` gives new content by name within the SavedModel (`variables/variables.index`); None leaves a member out.
    """
    wanted = {f"{root}/{name}" if root else name: content for name, content in contents.items()}
    pack = _repack_zip if zipfile.is_zipfile(upload) else _repack_tar
    return pack(upload, destination, wanted)


def _root(names: list[str]) -> str:
    found = [n for n in names if PurePosixPath(n).name == GRAPH]
    if len(found) == 1:
        return "" if found[0] == GRAPH else str(PurePosixPath(found[0]).parent)
    if found:
        raise UnsupportedModelFormat(f"The archive holds {len(found)} SavedModel folders. Send one.")
    if any(PurePosixPath(n).name == "saved_model.pbtxt" for n in names):
        raise ModelUnreadable("The SavedModel's graph is written as text (`saved_model.pbtxt`). Save it as binary.")
    raise UnsupportedModelFormat(
        f"The archive holds no {GRAPH}: it is no SavedModel folder. Send one, a .keras file or a full-model .h5 file."
    )


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
                self.unpacked += len(chunk)
                if self.unpacked > self.most:
                    raise ModelUnsafe("The archive unpacks to absurdly more than it stores: no trained weights do.")
                file.write(chunk)


def _unpack_zip(path: Path, folder: Path) -> Iterator[str]:
    size = path.stat().st_size
    budget = _Budget(size)
    with zipfile.ZipFile(path) as archive:
        check_archive(archive, size)
        for info in archive.infolist():
            name = budget.name(info.filename)
            if info.is_dir() or _is_foreign(name):
                continue
            with archive.open(info) as data:
                budget.copy(data, folder / name)
            yield name


def _unpack_tar(path: Path, folder: Path) -> Iterator[str]:
    budget = _Budget(path.stat().st_size)
    with _open_tar(path) as archive:
        for info in archive:
            name = budget.name(info.name)
            if info.isdir() or _is_foreign(name):
                continue
            if not info.isreg() or info.issparse():
                raise ModelUnsafe(f"The archive's member {name[:80]!r} is a link or device, not a file.")
            data = archive.extractfile(info)
            assert data is not None
            budget.copy(data, folder / name)
            if (folder / name).stat().st_size != info.size:
                raise ModelUnreadable("The model archive is cut short. Send it again.")
            yield name


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
