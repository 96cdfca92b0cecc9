"""Model and batch by URI: fetched before the job is accepted, into the same place and by the same rules as an upload.

So a job that was accepted has its files and their hashes, whatever happens to the place they came from; what cannot be
fetched is a problem of the request. The limits of uploads hold: size, whole time, slowest rate, free disk.
"""

from __future__ import annotations

import asyncio

from app.api.context import Context
from app.api.pace import paced
from app.api.upload import FileTarget, Upload, feed_all, in_pieces
from app.errors import InsufficientStorage, InvalidRequest
from app.jobs.needs import BATCH_SUFFIXES, MODEL_SUFFIXES
from app.uris import Uri

WANTED = {"model": MODEL_SUFFIXES, "batch": BATCH_SUFFIXES}


async def fetch_all(upload: Upload, context: Context) -> None:
    """Fetch what the request names by URI. All of it is checked before any of it is fetched.

    Raises:
        InvalidRequest: a URI may not be fetched, or what it names cannot be had.
        PayloadTooLarge: it is larger than an upload may be.
        InputProblem: it is no file of a kind that is accepted.
    """
    wanted = upload.to_fetch()
    if not wanted:
        return
    upload.options()
    parsed = {field: (target, context.fetcher.parse(field, text)) for field, (target, text) in wanted.items()}
    for field, (target, uri) in parsed.items():
        try:
            async with asyncio.timeout(context.settings.upload_grace_seconds) as limit:
                await _fetch(field, uri, target, context, limit)
        except TimeoutError as error:
            limit_s, floor = context.settings.upload_seconds, context.settings.upload_floor_bytes_per_second
            detail = (
                f"`{field}` took longer than {limit_s:g} seconds to fetch, or came slower than {floor} bytes a second."
            )
            raise InvalidRequest(detail) from error


async def _fetch(field: str, uri: Uri, target: FileTarget, context: Context, limit: asyncio.Timeout) -> None:
    def take(piece: bytes) -> None:
        if context.services.blobs.free_bytes() < context.settings.disk_reserve_bytes + len(piece):
            raise InsufficientStorage("The server has too little free disk space for this file. Try again later.")
        target.on_data_received(piece)

    async with context.fetcher.opened(field, uri, WANTED[target.role]) as (name, chunks):
        await asyncio.to_thread(target.begin, name)
        await feed_all(take, in_pieces(paced(chunks, limit, context.settings)))
        await asyncio.to_thread(target.on_finish)
