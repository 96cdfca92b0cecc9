"""The way in: from the text of a URI to a file's name and its bytes, or to the problem that says why not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.errors import InvalidRequest
from app.fetching import stores, web
from app.fetching.addresses import Guard
from app.fetching.registry import Registry
from app.fetching.web import FetchFailedError
from app.settings import Settings
from app.uris import BUCKETS, MLFLOW, AllowList, BadUriError, Uri, parse_uri

OFF = "Nothing is fetched by URI here: send the file. The operator allows it with PHASEGAP_URI_PREFIXES."
NOT_LISTED = "what is fetched here must begin with what the operator allowed (PHASEGAP_URI_PREFIXES); send the file"
NO_MLFLOW = "this service knows no MLflow tracking server (PHASEGAP_MLFLOW_TRACKING_URI); send the file"


class Fetcher:
    """Fetches what the operator's allow-list has."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = AllowList(settings.uri_prefixes)
        self._guard = Guard(settings.uri_private_networks)
        secret, server = settings.mlflow_authorization, settings.mlflow_tracking_uri
        self._registry = Registry(server, secret.get_secret_value() if secret else None) if server else None

    def parse(self, field: str, text: str) -> Uri:
        """The URI of a form field, if it may be fetched.

        Raises:
            InvalidRequest: it may not, or is none.
        """
        if not self._allowed:
            raise InvalidRequest(f"`{field}`: {OFF}")
        try:
            uri = parse_uri(text)
            self._check(uri)
        except (BadUriError, FetchFailedError) as error:
            raise InvalidRequest(f"`{field}` cannot be fetched: {error}.") from error
        return uri

    @asynccontextmanager
    async def opened(
        self, field: str, uri: Uri, wanted: tuple[str, ...]
    ) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        """The file's name and its bytes as they come.

        Raises:
            InvalidRequest: it cannot be had; the answer says what to change, and nothing of what was answered.
        """
        try:
            async with self._source(uri, wanted) as (name, chunks):
                yield name, chunks
        except FetchFailedError as error:
            raise InvalidRequest(f"`{field}` could not be fetched ({uri.shown}): {error}.") from error

    @asynccontextmanager
    async def _source(self, uri: Uri, wanted: tuple[str, ...]) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        if uri.scheme in MLFLOW:
            assert self._registry is not None, "checked when the URI was parsed"
            name, path = await self._registry.file_of(uri, wanted)
            async with self._registry.opened(path) as chunks:
                yield name, chunks
            return
        name = uri.segments[-1] if uri.segments else ""
        source = stores.opened(uri) if uri.scheme in BUCKETS else web.opened(uri, self._guard, self._check)
        async with source as chunks:
            yield name, chunks

    def _check(self, uri: Uri) -> None:
        if not self._allowed.has(uri):
            raise FetchFailedError(NOT_LISTED)
        if uri.scheme in MLFLOW and self._registry is None:
            raise FetchFailedError(NO_MLFLOW)
