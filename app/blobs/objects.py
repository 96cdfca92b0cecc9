"""Objects of one bucket by their keys. The only module here that knows obstore.

Nothing is ever held in memory whole: files go up in parts and come down in pieces, each of which is tried again by
itself. Endpoint and credentials are the operator's, from the environment as each store's own tools read them
(`AWS_*`, `GOOGLE_*`, `AZURE_*`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.blobs.patience import Patience
from app.errors import NotFound

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Store

PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 2
"""So an upload to the store holds 16 MiB, and a file may have 80 GiB: S3 takes 10,000 parts."""
MARKER = "phasegap-store"
"""An object that says that this is the place: its presence is what is asked for when the store is probed."""
PROBE_FRESH_S = 5.0
"""A store that answered this lately is not probed again."""
PROBE_LIMIT_S = 3.0
ANSWER_S, PROBE_ANSWER_S = 30, 3
"""How long the store may say nothing. A part of 8 MiB goes up within that on 3 Mbit/s."""
REQUEST_S = 600
"""Longest time of one request; of a copy within the store, which says nothing until it is done, too."""
LISTED_AT_ONCE = 1000
ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""Where an operator names an endpoint; only one that is http itself is spoken to without TLS."""


@dataclass(frozen=True)
class Listed:
    """An object as a list shows it. `modified_s` is in seconds since 1970 by the store's clock."""

    key: str
    modified_s: float


class Objects:
    """A bucket, below a prefix. Everything is tried again within bounds; StoreAway says that it was for nothing."""

    def __init__(self, url: str, limit_s: float) -> None:
        self._store = _opened(url, ANSWER_S)
        self._prober = _opened(url, PROBE_ANSWER_S)
        self.patience = Patience(limit_s, _is_worth_another)

    def put(self, key: str, content: Path | bytes) -> None:
        """Store a file or bytes. Where this returns it is in the store, whole."""
        self.patience.persist(lambda: _put(self._store, key, content))

    def head(self, key: str) -> RemoteFile:
        """An object to be read.

        Raises:
            NotFound: there is none.
        """
        import obstore

        with _missing_told():
            found = self.patience.persist(lambda: obstore.head(self._store, key))
        return RemoteFile(self, key, found["size"], found["last_modified"].timestamp(), _quoted(found["e_tag"]))

    def read(self, file: RemoteFile, start: int, end: int) -> bytes:
        """The bytes of an object from `start` up to `end`.

        Raises:
            NotFound: it is not there any more, or not the same.
        """
        import obstore

        def step() -> bytes:
            return _whole(
                bytes(obstore.get(self._store, file.key, options=_part(file, start, end)).bytes()), end - start
            )

        with _missing_told():
            return self.patience.persist(step)

    async def read_async(self, file: RemoteFile, start: int, end: int) -> bytes:
        """The same without a thread."""
        import obstore

        async def step() -> bytes:
            found = await obstore.get_async(self._store, file.key, options=_part(file, start, end))
            return _whole(bytes(await found.bytes_async()), end - start)

        with _missing_told():
            return await self.patience.persist_async(step)

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store.

        Raises:
            NotFound: there is none.
        """
        import obstore

        with _missing_told():
            self.patience.persist(lambda: obstore.copy(self._store, source, target))

    def remove_all(self, prefix: str) -> None:
        """Remove every object below a prefix."""
        self.patience.persist(lambda: _remove_all(self._store, prefix))

    def list_all(self, prefix: str) -> list[Listed]:
        """Every object below a prefix."""
        return self.patience.persist(lambda: [item for page in _pages(self._store, prefix) for item in page])

    def probe(self) -> None:
        """Raise StoreAway unless the store answers, or has just done so."""
        if not self.patience.answered_within(PROBE_FRESH_S):
            self.patience.look(lambda: _find_or_make_marker(self._prober), PROBE_LIMIT_S)


@dataclass(frozen=True)
class RemoteFile:
    """An object that is to be sent on, as it was when it was asked for."""

    objects: Objects
    key: str
    size_bytes: int
    modified_s: float
    etag: str

    async def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, without a thread."""
        return await self.objects.read_async(self, start, end)

    def read_now(self, start: int, end: int) -> bytes:
        """The same in this thread."""
        return self.objects.read(self, start, end)


def _opened(url: str, answer_s: int) -> S3Store | GCSStore | AzureStore:
    from obstore.store import AzureStore, GCSStore, S3Store  # a tenth of a second that is spent only where it is used

    parts = urlsplit(url)
    options: ClientConfig = {
        "timeout": timedelta(seconds=REQUEST_S),
        "read_timeout": timedelta(seconds=answer_s),
        "connect_timeout": timedelta(seconds=min(5, answer_s)),
        "allow_http": any(os.environ.get(name, "").startswith("http://") for name in ENDPOINTS[parts.scheme]),
    }
    retries: RetryConfig = {"max_retries": 1, "retry_timeout": timedelta(seconds=answer_s)}
    kind = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[parts.scheme]
    opened: S3Store | GCSStore | AzureStore = kind(
        parts.netloc, prefix=parts.path.strip("/") or None, client_options=options, retry_config=retries
    )
    return opened


def _put(store: Any, key: str, content: Path | bytes) -> None:
    import obstore

    with _missing_is_a_fault():
        obstore.put(store, key, content, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)


def _pages(store: Any, prefix: str) -> Iterator[list[Listed]]:
    import obstore

    with _missing_is_a_fault():
        for page in obstore.list(store, prefix, chunk_size=LISTED_AT_ONCE):
            yield [Listed(item["path"], item["last_modified"].timestamp()) for item in page]


def _remove_all(store: Any, prefix: str) -> None:
    import obstore

    for page in list(_pages(store, prefix)):
        with _missing_is_a_fault():  # somebody else removes the same; then look again what is left
            obstore.delete(store, [item.key for item in page])


def _find_or_make_marker(store: Any) -> None:
    import obstore

    try:
        obstore.head(store, MARKER)
    except FileNotFoundError:
        _put(store, MARKER, b"1\n")


def _part(file: RemoteFile, start: int, end: int) -> GetOptions:
    return {"range": (start, end), "if_match": file.etag or None}


def _whole(content: bytes, wanted: int) -> bytes:
    if len(content) != wanted:
        raise OSError(f"{len(content)} bytes came in place of {wanted}")
    return content


def _quoted(etag: str | None) -> str:
    return "" if etag is None else etag if etag.startswith('"') else f'"{etag}"'


def _is_worth_another(error: Exception) -> bool:
    """Whether a step that ended so may end better next time. That there is no such object is an answer."""
    from obstore.exceptions import PreconditionError

    return not isinstance(error, (FileNotFoundError, PreconditionError))


@contextmanager
def _missing_told() -> Iterator[None]:
    from obstore.exceptions import PreconditionError

    try:
        yield
    except (FileNotFoundError, PreconditionError) as error:
        raise NotFound("This file has been removed.") from error


@contextmanager
def _missing_is_a_fault() -> Iterator[None]:
    """Where nothing is asked for by its name, only the bucket itself can be what is not there."""
    try:
        yield
    except FileNotFoundError as error:
        raise OSError("there is no such bucket, or it changed meanwhile") from error
