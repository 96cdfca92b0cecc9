"""An object in pieces, a few of them under way at a time: one request's delay is not every request's.

A piece that breaks off is asked for again by itself, so a large file on a bad line arrives all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from app.blobs.objects import RemoteFile

PIECE_BYTES = 8 * 1024 * 1024
AT_ONCE = 3
"""So a file that is fetched holds 32 MiB at most, whatever its size."""


def pieces_of(file: RemoteFile) -> Iterator[bytes]:
    """All of an object, in order."""
    spans = [(start, min(start + PIECE_BYTES, file.size_bytes)) for start in range(0, file.size_bytes, PIECE_BYTES)]
    if len(spans) <= 1:
        yield from (file.read_now(*span) for span in spans)
        return
    with ThreadPoolExecutor(AT_ONCE, "fetch") as pool:
        under_way: deque[Future[bytes]] = deque()
        try:
            for span in spans:
                under_way.append(pool.submit(file.read_now, *span))
                if len(under_way) > AT_ONCE:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for piece in under_way:
                piece.cancel()
