"""Copies of files in which a few bytes differ: written in one go, read back and compared with what was meant."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

BLOCK_BYTES = 1 << 22
"""4 MiB at a time: constant memory for any size."""

LOCAL_CRC_AT, CENTRAL_CRC_AT = 14, 16
"""Where a member's checksum stands in its own header and in its entry of the archive's table of contents."""

CENTRAL_HEADER_BYTES, CENTRAL_LENGTHS_AT = 46, 28
"""Of an entry of that table; the lengths of name, extra field and comment, two bytes each, stand at 28.
Source: PKWARE, APPNOTE.TXT - .ZIP File Format Specification 6.3.10, 4.3.7 and 4.3.12."""

CHECKSUM_FOLLOWS = 0x8
"""A member's flag that its checksum stands behind its content instead of before."""


class Span(NamedTuple):
    """Bytes to stand at an offset in a copy."""

    offset: int
    content: bytes


def write_copy(source: Path, destination: Path, spans: Sequence[Span], checked: range = range(0)) -> int:
    """Copy a file with the bytes of `spans` in place of its own; the CRC-32 of what stands at `checked` in the copy."""
    crc = 0
    with source.open("rb") as read, destination.open("wb") as written:
        for start, block in _blocks(read, spans):
            written.write(block)
            first, last = max(checked.start - start, 0), max(checked.stop - start, 0)
            crc = zlib.crc32(memoryview(block)[first:last], crc)
    return crc


def is_copy(source: Path, copy: Path, spans: Sequence[Span]) -> bool:
    """Whether `copy` is `source` with the bytes of `spans`, to the last byte."""
    with source.open("rb") as read, copy.open("rb") as other:
        same = all(other.read(len(block)) == block for _, block in _blocks(read, spans))
        return same and not other.read(1)


def checksum_places(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[int, int] | None:
    """Where the checksum of a member stands in the archive; None where a member's bytes cannot be changed in place."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & CHECKSUM_FOLLOWS or archive.fp is None:
        return None
    at = archive.start_dir
    for other in archive.infolist():
        if other is info:
            return info.header_offset + LOCAL_CRC_AT, at + CENTRAL_CRC_AT
        archive.fp.seek(at + CENTRAL_LENGTHS_AT)
        lengths = archive.fp.read(6)
        at += CENTRAL_HEADER_BYTES + sum(int.from_bytes(lengths[i : i + 2], "little") for i in (0, 2, 4))
    return None


def _blocks(file: IO[bytes], spans: Sequence[Span]) -> Iterator[tuple[int, bytearray]]:
    """The file's blocks with the spans in them, each with its offset."""
    start = 0
    while block := bytearray(file.read(BLOCK_BYTES)):
        end = start + len(block)
        for offset, content in spans:
            first, last = max(offset, start), min(offset + len(content), end)
            if first < last:
                block[first - start : last - start] = content[first - offset : last - offset]
        yield start, block
        start = end
