"""Who calls, and what that lets see and do. The gate sets it for the time of a request; outside of one there is none.

The database narrows every query down to what the caller may see (`app.jobs.separation`), so that a route which asks
for a diagnosis need not think of whose it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Role(StrEnum):
    """What a key is given. `admin` has the others, too; `read-all` reads what is its own as well."""

    SUBMIT = "submit"
    READ_OWN = "read-own"
    READ_ALL = "read-all"
    ADMIN = "admin"


USUAL_ROLES = [Role.SUBMIT, Role.READ_OWN]
"""What a key is given that nothing else is said of."""


class Right(StrEnum):
    """What a route asks for."""

    ANY = "any"
    SUBMIT = "submit"
    READ = "read"
    READ_ALL = "read all"
    OPERATE = "operate"
    ADMIN = "admin"


ENOUGH: dict[Right, frozenset[Role]] = {
    Right.ANY: frozenset(Role),
    Right.SUBMIT: frozenset({Role.SUBMIT, Role.ADMIN}),
    Right.READ: frozenset({Role.READ_OWN, Role.READ_ALL, Role.ADMIN}),
    Right.READ_ALL: frozenset({Role.READ_ALL, Role.ADMIN}),
    Right.OPERATE: frozenset({Role.ADMIN}),
    Right.ADMIN: frozenset({Role.ADMIN}),
}
"""Any one of the roles gives the right."""


@dataclass(frozen=True)
class Quota:
    """What an owner may use in a period; None: as much as it likes. Seconds are those that runs hold a slot."""

    jobs: int | None = None
    bytes: int | None = None
    compute_seconds: float | None = None
    period: Literal["day", "month"] = "month"

    def __bool__(self) -> bool:
        return (self.jobs, self.bytes, self.compute_seconds) != (None, None, None)


@dataclass(frozen=True)
class Caller:
    """One who was let in. What it submits belongs to `owner`; `key_id` and `name` stand in the audit log."""

    owner: str
    roles: frozenset[Role]
    key_id: str = ""
    name: str = ""
    quota: Quota = field(default_factory=Quota)

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is asked for a key."""
        return not self.owner

    def may(self, right: Right) -> bool:
        if self.is_anonymous:
            return right is not Right.ADMIN  # everybody who reaches it, but who makes keys must have one
        return right is Right.ANY or bool(self.roles & ENOUGH[right])

    @property
    def sees_all(self) -> bool:
        return self.may(Right.READ_ALL)

    def reaches_all_for(self, changing: bool) -> bool:
        """Whether other owners' diagnoses are there for it: to read, or to change."""
        return self.may(Right.OPERATE) if changing else self.sees_all


ANYBODY = Caller("", frozenset())
"""Where no keys are asked for: everybody who reaches the service."""

_current: ContextVar[str | None] = ContextVar("phasegap_only_owner", default=None)


def only_owner() -> str | None:
    """Whose diagnoses alone are there just now; None: everybody's. Workers and loops beside the requests see all."""
    return _current.get()


@contextmanager
def narrowed_to(owner: str | None) -> Iterator[None]:
    """Let the database show one owner's diagnoses and what hangs on them, or everybody's (None)."""
    token = _current.set(owner)
    try:
        yield
    finally:
        _current.reset(token)
