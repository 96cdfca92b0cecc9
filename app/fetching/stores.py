"""Bytes out of object stores. Endpoint and credentials are the operator's, from the environment as each store's own
tools read them (`AWS_*`, `GOOGLE_*`); a client names a bucket of the allow-list and a key, nothing else.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from app.fetching.web import FetchFailedError, NothingThereError
from app.uris import Uri

if TYPE_CHECKING:
    from obstore.store import ClientConfig, GCSStore, RetryConfig, S3Store

CHUNK_BYTES = 256 * 1024
ANSWER_SECONDS = 600
"""Longest time of one request to the store; the caller holds the whole to its time and rate."""
TRY_AGAIN_SECONDS = 10
ENDPOINTS = {"s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"), "gs": ("GOOGLE_BASE_URL",)}
"""Where an operator names an endpoint; only one that is http itself is spoken to without TLS."""


@asynccontextmanager
async def opened(uri: Uri) -> AsyncIterator[AsyncIterator[bytes]]:
    """The content of an object.

    Raises:
        FetchFailedError: it is not there, may not be read, or ends early. What the store said goes nowhere: it may hold
            names that are the operator's alone.
    """
    import obstore  # a tenth of a second that is spent only where it is used
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        answer = await obstore.get_async(_store(uri), uri.path.removeprefix("/"))
    except FileNotFoundError as error:
        raise NothingThereError("there is no such object in the bucket, or no such bucket") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise FetchFailedError("the service's credentials do not allow to read this object") from error
    except (BaseError, OSError, ValueError) as error:
        raise FetchFailedError(
            "the object store did not answer as it should; the operator may have to set it up"
        ) from error
    yield _chunks(answer.stream(min_chunk_size=CHUNK_BYTES))


def _store(uri: Uri) -> S3Store | GCSStore:
    from obstore.store import GCSStore, S3Store

    options: ClientConfig = {"timeout": timedelta(seconds=ANSWER_SECONDS), "connect_timeout": timedelta(seconds=10)}
    options["allow_http"] = any(os.environ.get(name, "").startswith("http://") for name in ENDPOINTS[uri.scheme])
    retries: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=TRY_AGAIN_SECONDS)}
    kind = S3Store if uri.scheme == "s3" else GCSStore
    return kind(uri.host, client_options=options, retry_config=retries)


async def _chunks(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    from obstore.exceptions import BaseError

    try:
        async for chunk in stream:
            yield bytes(chunk)
    except (BaseError, OSError) as error:
        raise FetchFailedError("the object store ended the object early") from error
