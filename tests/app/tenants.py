"""Servers that ask for keys, for tests: keys made in the database before or beside them, and who calls with which."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import httpx2 as httpx

from app.callers import USUAL_ROLES, Quota, Role
from app.jobs.database import Database
from app.jobs.schema import migrate
from app.settings import Settings
from app.tenancy.keys import KeyStore, NewKey
from tests.app.served import Server


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def made_key(
    data_dir: Path, name: str, roles: Collection[Role] = USUAL_ROLES, **wanted: Any
) -> tuple[str, dict[str, str]]:
    """A key in the database of this folder: its id, and the headers that send it."""
    settings = Settings(data_dir=data_dir)
    migrate(settings)
    database = Database(settings)
    try:
        key, secret = KeyStore(database).add(NewKey(name, frozenset(roles), **wanted), "a test")
    finally:
        database.close()
    return key.id, bearer(secret)


def quota(**limits: Any) -> Quota:
    return Quota(**limits)


class As:
    """A server as one caller sees it."""

    def __init__(self, server: Server, headers: dict[str, str], key_id: str = "") -> None:
        self.server, self.headers, self.key_id = server, headers, key_id

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return self.server.client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.call("GET", path, **options)

    def post(self, model: bytes, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return self.server.post(model, headers=headers, **options)

    def submitted(self, model: bytes, **options: Any) -> str:
        """The id of a diagnosis that was accepted."""
        answer = self.post(model, **options)
        assert "location" in answer.headers, answer.text
        return answer.headers["location"].removeprefix("/diagnoses/")

    def listed(self) -> set[str]:
        return {item["id"] for item in self.get("/diagnoses", params={"limit": 100}).json()["items"]}
