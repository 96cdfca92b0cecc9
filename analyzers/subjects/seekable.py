"""A member of a zip archive as a file that can be read in any order, without unpacking it where that is possible."""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

LOCAL_HEADER_BYTES = 30
NAME_LENGTH_AT = 26
"""A zip member's own header: 30 bytes, the lengths of the name and of the extra field that follow it at 26 and 28."""


def content_start(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Where the content of a member lies in its archive: the length of its local header stands in that header alone."""
    assert archive.fp is not None
    archive.fp.seek(info.header_offset + NAME_LENGTH_AT)
    lengths = archive.fp.read(4)
    name_and_extra = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    return info.header_offset + LOCAL_HEADER_BYTES + name_and_extra


@contextmanager
def open_seekable(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """A member as a file that can be read in any order, as HDF5 does.

    Stored members are read where they lie: `zipfile` itself would read from the member's start at every step back,
    which takes ten seconds for ResNet-50 and its optimizer. Compressed ones are unpacked to a temporary file.
    """
    info = archive.getinfo(name)
    with archive.open(info) as member:
        if info.compress_type == zipfile.ZIP_STORED and archive.fp is not None:
            # opening the member has checked its local header
            start = content_start(archive, info)
            yield io.BufferedReader(_Window(archive.fp, start, info.file_size))
            return
        with tempfile.TemporaryFile() as unpacked:
            shutil.copyfileobj(member, unpacked)
            yield unpacked


class _Window(io.RawIOBase):
    """Bytes `start` to `start + size` of a file, as a file of its own."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._at)
        content = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
