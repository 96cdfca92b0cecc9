"""Models and artifacts of an MLflow tracking server, by its REST interface: `models:/name/3`, `runs:/<id>/model`.

The client library would do the same with two hundred megabytes in the web process. Where a model lies:

    MLflow 3    models are logged by themselves: models:/m-<id>, artifacts under <experiment>/models/m-<id>/artifacts
    MLflow 2    models lie in a run's artifacts: runs:/<run>/<path>
    both        the flavors `keras` and `tensorflow` keep the file as data/model.keras or data/model.h5

Only artifacts that the server serves itself are read (`mlflow server`'s default).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from app.fetching.addresses import Guard
from app.fetching.web import FetchFailedError, NotAnsweredError, NothingThereError, opened
from app.uris import Uri, parse_uri

ANSWER_LIMIT_BYTES = 4 * 1024 * 1024
PLACES = ("data/model.keras", "data/model.h5", "data/model.hdf5")
FOLDERS = ("data/model", "tf2model")
SERVED = "mlflow-artifacts"
SAVED_MODEL = (
    "this model was logged as a SavedModel folder, which is not fetched here: log it as .keras, "
    "or send the folder as an archive"
)
ELSEWHERE = "its artifacts are not served by the tracking server but lie elsewhere: send the URI of the file itself"
WANTED_MODEL = "it must be models:/name/version, models:/name@alias or models:/m-<id>, and may go on with a path"
WANTED_RUN = "it must be runs:/<run id>/<path of the artifact>"


class Registry:
    """One tracking server, chosen by the operator; its address need not be public."""

    def __init__(self, server: str, authorization: str | None) -> None:
        self._base = parse_uri(server.rstrip("/"))
        self._headers: dict[bytes | str, bytes | str] = {"Authorization": authorization} if authorization else {}

    async def file_of(self, uri: Uri, wanted: tuple[str, ...]) -> tuple[str, str]:
        """The name of the file that a URI means, and its path among the server's artifacts.

        `wanted` are the endings of a file; where the URI ends with none it means a logged model.

        Raises:
            FetchFailedError: there is none, or it is not one file.
        """
        root, inner = await (self._model(uri) if uri.scheme == "models" else self._run(uri))
        path = "/".join(part for part in (_served(root), *inner) if part)
        if path.lower().endswith(wanted):
            return path.rsplit("/", 1)[-1], path
        file = await self._file_within(path, inner, wanted)
        label = "-".join(uri.segments) if uri.scheme == "models" else uri.segments[-1]
        return f"{label}{_ending(file, wanted)}", f"{path}/{file}"

    @asynccontextmanager
    async def opened(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The content of an artifact."""
        async with self._get(f"/api/2.0/mlflow-artifacts/artifacts/{quote(path)}", {}) as chunks:
            yield chunks

    async def _model(self, uri: Uri) -> tuple[str, list[str]]:
        name, *rest = uri.segments or [""]
        if name.startswith("m-") and "@" not in uri.path:
            return await self._logged(name), rest
        if not name or not rest:
            raise FetchFailedError(WANTED_MODEL)
        version = rest[0]
        if f"{name}@{version}" in uri.path:
            answer = await self._json("registered-models/alias", {"name": name, "alias": version})
            version = str(answer["model_version"]["version"])
        elif not version.isdecimal():
            raise FetchFailedError(WANTED_MODEL)
        answer = await self._json("model-versions/get-download-uri", {"name": name, "version": version})
        source = str(answer.get("artifact_uri", ""))
        if source.startswith("models:/m-"):
            source = await self._logged(source.removeprefix("models:/").partition("/")[0])
        return source, rest[1:]

    async def _run(self, uri: Uri) -> tuple[str, list[str]]:
        if len(uri.segments) < 2:
            raise FetchFailedError(WANTED_RUN)
        run_id, *path = uri.segments
        run = (await self._json("runs/get", {"run_id": run_id}))["run"]
        root = str(run["info"].get("artifact_uri", ""))
        if not await self._list("/".join((_served(root), path[0]))) and not await self._has(root, path):
            for output in (run.get("outputs") or {}).get("model_outputs", []):
                model = (await self._json(f"logged-models/{quote(str(output['model_id']), safe='')}", {}))["model"]
                if model["info"].get("name") == path[0]:
                    return str(model["info"]["artifact_uri"]), path[1:]
        return root, path

    async def _has(self, root: str, path: list[str]) -> bool:
        """Whether a run has an artifact of this path that is a file."""
        folder = "/".join((_served(root), *path[:-1]))
        return any(entry["path"] == path[-1] and not entry.get("is_dir") for entry in await self._list(folder))

    async def _logged(self, model_id: str) -> str:
        answer = await self._json(f"logged-models/{quote(model_id, safe='')}", {})
        return str(answer["model"]["info"]["artifact_uri"])

    async def _file_within(self, path: str, inner: list[str], wanted: tuple[str, ...]) -> str:
        """The one file of a logged model, as the flavors lay it out, or alone in a folder."""
        here = {str(entry["path"]) for entry in await self._list(path)}
        within = {f"data/{entry['path']}" for entry in (await self._list(f"{path}/data") if "data" in here else [])}
        files = [place for place in PLACES if place in within] or [n for n in here if n.lower().endswith(wanted)]
        if len(files) == 1:
            return files[0]
        if any(folder in here | within for folder in FOLDERS):
            raise FetchFailedError(SAVED_MODEL)
        if not here:
            raise NothingThereError("the tracking server has no artifact there")
        detail = "no file, or more than one," if not files else f"{len(files)} files"
        raise FetchFailedError(f"{detail} of the kind that is wanted lie there ({', '.join(wanted)}): name one")

    async def _list(self, path: str) -> list[dict[str, Any]]:
        answer = await self._answer("/api/2.0/mlflow-artifacts/artifacts", {"path": path})
        return list(answer.get("files", []))

    async def _json(self, call: str, query: dict[str, str]) -> dict[str, Any]:
        return await self._answer(f"/api/2.0/mlflow/{call}", query)

    async def _answer(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        body = bytearray()
        async with self._get(path, query) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > ANSWER_LIMIT_BYTES:
                    raise FetchFailedError("the tracking server answered with more than is read")
        try:
            return dict(json.loads(body))
        except (ValueError, RecursionError, TypeError) as error:
            raise FetchFailedError("the tracking server did not answer with JSON") from error

    @asynccontextmanager
    async def _get(self, path: str, query: dict[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        base = self._base
        uri = Uri(base.scheme, base.host, base.port, base.path.rstrip("/") + path, urlencode(query))
        try:
            async with opened(uri, Guard(everything=True), _stay, self._headers) as chunks:
                yield chunks
        except (NothingThereError, NotAnsweredError) as error:  # an alias that is not there is 400
            raise NothingThereError("the tracking server has no such model, version, alias, run or artifact") from error


def _stay(uri: Uri) -> None:
    raise FetchFailedError("the tracking server redirected, which is not followed")


def _served(root: str) -> str:
    """The path of artifacts that the tracking server serves itself."""
    parts = urlsplit(root)
    if parts.scheme != SERVED:
        raise FetchFailedError(ELSEWHERE)
    return parts.path.strip("/")


def _ending(name: str, wanted: tuple[str, ...]) -> str:
    return next((ending for ending in wanted if name.lower().endswith(ending)), "")
