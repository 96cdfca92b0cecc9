"""Sending files on, whole or in the ranges that are asked for: from a folder, or out of a bucket piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from os import stat_result
from pathlib import Path
from typing import Any

from fastapi.responses import FileResponse, Response

from app.blobs.base import StoredObject

MEDIA_TYPE = "application/octet-stream"
LARGEST_PIECE_BYTES = 4 * 1024 * 1024
GROWTH = 4
"""Pieces begin as small as is asked for and grow: who wants a few bytes costs a small request, who wants them all costs
few. This much is held of each download."""


def download(stored: Path | StoredObject, file_name: str) -> Response:
    """An answer with this file."""
    if isinstance(stored, Path):
        return FileResponse(stored, filename=file_name, media_type=MEDIA_TYPE)
    return _FromStore(stored, file_name)


class _FromStore(FileResponse):
    """As FileResponse answers, ranges and all, but out of a store."""

    def __init__(self, stored: StoredObject, file_name: str) -> None:
        self._stored = stored
        size_only = stat_result((0, 0, 0, 0, 0, 0, stored.size_bytes, 0, 0, 0))
        super().__init__(file_name, filename=file_name, media_type=MEDIA_TYPE, stat_result=size_only)

    def set_stat_headers(self, stat_result: stat_result) -> None:
        self.headers.setdefault("content-length", str(self._stored.size_bytes))
        self.headers.setdefault("last-modified", formatdate(self._stored.modified_s, usegmt=True))
        self.headers.setdefault("etag", self._stored.etag)

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[Any]:
        """What FileResponse reads from; tests/app/test_bucket.py holds it to that."""
        yield _Cursor(self._stored)


class _Cursor:
    """A place in an object, and what has been fetched from there on. Only at the end is less read than asked for."""

    def __init__(self, stored: StoredObject) -> None:
        self._stored = stored
        self._ahead = memoryview(b"")
        self._next = 0
        self._piece_bytes = 0

    async def seek(self, at: int) -> None:
        self._ahead, self._next, self._piece_bytes = memoryview(b""), at, 0

    async def read(self, size: int) -> bytes:
        content = bytearray()
        while len(content) < size and (self._ahead or self._next < self._stored.size_bytes):
            if not self._ahead:
                await self._fetch(size - len(content))
            taken = self._ahead[: size - len(content)]
            self._ahead = self._ahead[len(taken) :]
            content += taken
        return bytes(content)

    async def _fetch(self, needed: int) -> None:
        end = min(self._next + max(needed, self._piece_bytes), self._stored.size_bytes)
        self._ahead = memoryview(await self._stored.read(self._next, end))
        self._next = end
        self._piece_bytes = min(LARGEST_PIECE_BYTES, max(needed, self._piece_bytes) * GROWTH)
