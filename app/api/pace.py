"""How slowly bytes may come: time is earned with each byte, for uploads and for what is fetched alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from app.settings import Settings


async def paced(stream: AsyncIterator[bytes], limit: asyncio.Timeout, settings: Settings) -> AsyncIterator[bytes]:
    """The stream, with more time for each byte that has come: who sends nothing does not hold a place in the queue."""
    started_s, received_bytes = asyncio.get_running_loop().time(), 0
    async for chunk in stream:
        received_bytes += len(chunk)
        earned_s = settings.upload_grace_seconds + received_bytes / settings.upload_floor_bytes_per_second
        limit.reschedule(started_s + min(settings.upload_seconds, earned_s))
        yield chunk
