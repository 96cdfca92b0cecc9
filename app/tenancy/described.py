"""Keys as people and programs write and read them: for the routes, and for the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator

from app.callers import USUAL_ROLES, Quota, Role
from app.inert import is_seen
from app.jobs.database import at
from app.placing import HIGHEST_PRIORITY
from app.tenancy.keys import NewKey, Terms
from app.tenancy.models import ApiKey, AuditLine

LONGEST_DAYS = 3660
LARGEST_NUMBER = 2**53 - 1
"""What every JSON parser reads exactly."""
RoleName = Annotated[Role, WithJsonSchema({"type": "string", "enum": list(Role)})]
Amount = Annotated[int | None, Field(ge=0, le=LARGEST_NUMBER)]


class KeyTerms(BaseModel):
    """What a key may do and use: what can be changed later."""

    model_config = ConfigDict(extra="forbid")

    roles: list[RoleName] = Field(
        list(USUAL_ROLES),
        min_length=1,
        max_length=len(Role),
        description="What it may do: `submit` and delete its own, `read-own`, `read-all`, `admin`.",
    )
    jobs_limit: Amount = Field(None, description="Submissions in a period; null: what the settings say.")
    bytes_limit: Amount = Field(None, description="Uploaded bytes in a period.")
    compute_seconds_limit: float | None = Field(
        None, ge=0, le=LARGEST_NUMBER, description="Seconds that runs may hold a slot in a period."
    )
    concurrency_limit: int | None = Field(None, ge=1, le=10_000, description="Runs at a time.")
    priority: int = Field(
        0, ge=0, le=HIGHEST_PRIORITY, description="Highest that a diagnosis may ask for; larger runs sooner."
    )


class KeyRequest(KeyTerms):
    """What a key is to be."""

    name: str = Field(min_length=1, max_length=100, description="Whom or what it is for; it stands in the audit log.")
    expires_days: float | None = Field(None, gt=0, le=LONGEST_DAYS, description="Days it is good for; null: no end.")
    owner_of: str | None = Field(
        None, max_length=64, description="Id of a key whose diagnoses and usage it shares, such as one it follows."
    )

    @field_validator("name")
    @classmethod
    def _can_be_seen(cls, value: str) -> str:
        if not value.strip() or not all(is_seen(char) for char in value):
            raise ValueError("a name holds letters that can be seen, no control characters")
        return value.strip()

    def wanted(self) -> NewKey:
        return NewKey(
            self.name,
            frozenset(self.roles),
            self.expires_days,
            self.owner_of,
            Quota(self.jobs_limit, self.bytes_limit, self.compute_seconds_limit),
            self.concurrency_limit,
            self.priority,
        )


def _without_defaults(schema: dict[str, Any]) -> None:
    """What a change leaves out stays as it is."""
    for field in schema["properties"].values():
        field.pop("default", None)


class KeyChange(KeyTerms):
    """What is to be different about a key. What is left out stays as it is; null is what the settings say."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)

    @property
    def terms(self) -> Terms:
        """What was named, as the key has it."""
        named: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        return named | ({"roles": frozenset(self.roles)} if "roles" in named else {})


class Key(BaseModel):
    """A key, without its secret."""

    id: str
    name: str
    owner: str = Field(description="Whose diagnoses it makes and sees; its own id, unless it shares another's.")
    roles: list[RoleName]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    jobs_limit: int | None
    bytes_limit: int | None
    compute_seconds_limit: float | None
    concurrency_limit: int | None
    priority: int


class MadeKey(Key):
    """A key that was made just now."""

    secret: str = Field(description="What its holder sends. It is shown this once and kept nowhere.")


class KeyList(BaseModel):
    """All keys that were ever made, newest first."""

    items: list[Key]


def shown(key: ApiKey) -> dict[str, Any]:
    """What is told of a key: all but its digest."""
    times = {name: at(getattr(key, name)) for name in ("created_at", "expires_at", "revoked_at")}
    plain = [name for name in Key.model_fields if name not in (*times, "roles")]
    return {**{name: getattr(key, name) for name in plain}, **times, "roles": sorted(key.role_set)}


class AuditEntry(BaseModel):
    """One thing that was done or refused."""

    number: int
    at: datetime
    owner: str
    key_id: str
    actor: str = Field(description="The key's name, or who a token was for.")
    action: str = Field(examples=["diagnosis.submit"])
    target: str = Field(description="The id of what it was done to.")
    outcome: str = Field(description="`done`, `refused` or `failed`.")
    status: int | None = Field(description="Of the answer; null for the command line.")
    address: str = Field(description="Where the request came from.")


def entry_of(line: AuditLine) -> AuditEntry:
    names = [name for name in AuditEntry.model_fields if name != "at"]
    return AuditEntry.model_validate({"at": at(line.at), **{name: getattr(line, name) for name in names}})
