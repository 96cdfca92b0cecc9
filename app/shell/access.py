"""`phasegap keys`, `usage` and `audit`: who may call, what they used and did. They work on the database itself, beside
a service that runs or before there is one; the first key is made here.
"""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.callers import USUAL_ROLES, Role
from app.errors import Problem
from app.placing import HIGHEST_PRIORITY
from app.settings import load_settings
from app.shell.gate import EXIT_INPUT_AT_FAULT

if TYPE_CHECKING:
    from app.tenancy.audit import AuditLog
    from app.tenancy.keys import KeyStore
    from app.tenancy.usage import Usages

keys = typer.Typer(no_args_is_help=True, help="Make, list, change and revoke API keys.")
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of uploads, results and the database.")]
Jobs = Annotated[int | None, typer.Option(min=0, help="Submissions in a period.")]
UploadBytes = Annotated[int | None, typer.Option("--bytes", min=0, help="Uploaded bytes in a period.")]
ComputeSeconds = Annotated[float | None, typer.Option(min=0, help="Seconds of running in a period.")]
Concurrency = Annotated[int | None, typer.Option(min=1, help="Runs at a time.")]
PRIORITY_HELP = "Highest that a diagnosis may ask for; larger runs sooner."
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@keys.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Whom or what it is for.")],
    role: Annotated[list[Role], typer.Option(help="May be repeated.")] = USUAL_ROLES,
    expires_days: Annotated[float | None, typer.Option(min=0, help="Days it is good for; no end, if left out.")] = None,
    owner_of: Annotated[str | None, typer.Option(help="Id of a key whose diagnoses it shares: one it follows.")] = None,
    jobs: Jobs = None,
    upload_bytes: UploadBytes = None,
    compute_seconds: ComputeSeconds = None,
    concurrency: Concurrency = None,
    priority: Annotated[int, typer.Option(min=0, max=HIGHEST_PRIORITY, help=PRIORITY_HELP)] = 0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print its secret, which is shown this once."""
    described = {
        "name": name, "roles": role, "expires_days": expires_days, "owner_of": owner_of, "jobs_limit": jobs,
        "bytes_limit": upload_bytes, "compute_seconds_limit": compute_seconds, "concurrency_limit": concurrency,
        "priority": priority,
    }  # fmt: skip

    def make(stores: Stores) -> tuple[dict[str, Any], str]:
        from app.tenancy.described import KeyRequest, shown

        made, secret = stores.keys.add(KeyRequest.model_validate(described).wanted(), _who())
        return {**shown(made), "secret": secret}, made.id

    made = _done("key.add", make, data_dir)
    if as_json:
        _print_json(made)
    else:
        typer.echo(made["secret"])
        typer.echo(
            f"{made['id']}: {', '.join(made['roles'])}. The secret is kept nowhere; it is needed as it is.", err=True
        )


class Limit(StrEnum):
    """What a key can do without, so that the settings say it."""

    JOBS = "jobs"
    BYTES = "bytes"
    COMPUTE_SECONDS = "compute-seconds"
    CONCURRENCY = "concurrency"

    @property
    def field(self) -> str:
        return f"{self.replace('-', '_')}_limit"


@keys.command("change")
def change(
    key_id: Annotated[str, typer.Argument(help="The key's id.")],
    role: Annotated[list[Role] | None, typer.Option(help="May be repeated; these and no others.")] = None,
    jobs: Jobs = None,
    upload_bytes: UploadBytes = None,
    compute_seconds: ComputeSeconds = None,
    concurrency: Concurrency = None,
    priority: Annotated[int | None, typer.Option(min=0, max=HIGHEST_PRIORITY, help=PRIORITY_HELP)] = None,
    unset: Annotated[
        list[Limit] | None, typer.Option(help="What is to be as the settings say again; may be repeated.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Give a key other roles, limits or another priority; running services know within two seconds."""
    described = {
        "roles": role or None, "jobs_limit": jobs, "bytes_limit": upload_bytes,
        "compute_seconds_limit": compute_seconds, "concurrency_limit": concurrency, "priority": priority,
    }  # fmt: skip
    named: dict[str, Any] = {name: value for name, value in described.items() if value is not None}
    for limit in unset or ():
        if limit.field in named:
            raise typer.BadParameter(f"--{limit} and --unset {limit} contradict each other")
        named[limit.field] = None

    def make(stores: Stores) -> tuple[dict[str, Any], str]:
        from app.tenancy.described import KeyChange, shown

        return shown(stores.keys.change(key_id, KeyChange.model_validate(named).terms)), key_id

    changed = _done("key.change", make, data_dir)
    if as_json:
        _print_json(changed)
    else:
        typer.echo(f"{key_id} is changed: {', '.join(sorted(named))}.", err=True)


@keys.command("list")
def list_keys(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Print every key, newest first, without secrets."""
    from app.tenancy.described import shown

    found = [shown(key) for key in Stores(data_dir).keys.all()]
    if as_json:
        _print_json(found)
        return
    _print_table(
        ("id", "name", "owner", "roles", "made", "expires", "state"),
        [
            (key["id"], key["name"], key["owner"], ",".join(key["roles"]), _day(key["created_at"]),
             _day(key["expires_at"]), _state(key))
            for key in found
        ],
    )  # fmt: skip


@keys.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id.")], data_dir: DataDir = None) -> None:
    """Let a key open nothing any more; running services know within two seconds."""
    _done("key.revoke", lambda stores: (stores.keys.revoke(key_id), key_id), data_dir)
    typer.echo(f"{key_id} is revoked.", err=True)


def usage(
    day: Annotated[str | None, typer.Option(help="A day of the period, 2026-11-30; by default today.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Print what everybody used in a period, and may use."""
    usages = Stores(data_dir).usages
    try:
        at_s = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() if day else None
    except ValueError as error:
        raise typer.BadParameter("a day is written 2026-11-30") from error
    period = usages.period(at_s)
    found = usages.everybody(period)
    if as_json:
        _print_json([{**vars(each), "used": vars(each.used), "quota": vars(each.quota)} for each in found])
        return
    typer.echo(f"{period.start} until {period.end}, UTC", err=True)
    _print_table(
        ("owner", "name", "jobs", "bytes", "compute seconds"),
        [
            (each.owner, each.name, _of(each.used.jobs, each.quota.jobs), _of(each.used.bytes, each.quota.bytes),
             _of(round(each.used.compute_seconds, 1), each.quota.compute_seconds))
            for each in found
        ],
    )  # fmt: skip


def audit(
    limit: Annotated[int, typer.Option(min=1, help="Lines to print.")] = 50,
    owner: Annotated[str | None, typer.Option(help="Only of this owner.")] = None,
    action: Annotated[str | None, typer.Option(help="Only of this kind, such as key.add.")] = None,
    target: Annotated[str | None, typer.Option(help="Only about this id.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Print the audit log, newest first."""
    from app.tenancy.audit import AuditFilters
    from app.tenancy.described import entry_of

    lines = Stores(data_dir).audit.page(AuditFilters(owner, action, target), limit)
    found = [entry_of(line) for line in lines]
    if as_json:
        _print_json([entry.model_dump(mode="json") for entry in found])
        return
    _print_table(
        ("at", "actor", "action", "target", "outcome", "from"),
        [
            (each.at.isoformat(" ", "seconds"), f"{each.actor} {each.key_id}".strip(), each.action, each.target,
             each.outcome if each.status is None else f"{each.outcome} {each.status}", each.address)
            for each in found
        ],
    )  # fmt: skip


def _done(action: str, act: Any, data_dir: Path | None) -> Any:
    """Do it and write it into the audit log; what the user has got wrong ends the command with its message."""
    from pydantic import ValidationError

    from app.tenancy.audit import Act

    stores = Stores(data_dir)
    try:
        result, target = act(stores)
    except (Problem, ValidationError) as error:
        text = error.detail if isinstance(error, Problem) else "; ".join(each["msg"] for each in error.errors())
        typer.echo(text, err=True)
        raise typer.Exit(EXIT_INPUT_AT_FAULT) from error
    stores.audit.record(Act(action, "done", target, actor=_who()[:100]))
    return result


class Stores:
    """What the commands work on; its schema is brought up to date first, for there may be no service yet."""

    def __init__(self, data_dir: Path | None) -> None:
        from app.jobs.database import Database
        from app.jobs.schema import migrate
        from app.tenancy.audit import AuditLog
        from app.tenancy.keys import KeyStore
        from app.tenancy.usage import Usages, default_quota

        settings = load_settings(data_dir=data_dir)
        migrate(settings)
        database = Database(settings)
        self.keys: KeyStore = KeyStore(database)
        self.audit: AuditLog = AuditLog(database)
        self.usages: Usages = Usages(database, default_quota(settings))


def _who() -> str:
    try:
        return f"command line: {getpass.getuser()}"
    except (OSError, KeyError):  # a user without a name, as in containers
        return "command line"


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, default=str))


def _print_table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    lines = [head, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _day(moment: datetime | None) -> str:
    return "" if moment is None else moment.date().isoformat()


def _state(key: dict[str, Any]) -> str:
    if key["revoked_at"] is not None:
        return "revoked"
    expires_at: datetime | None = key["expires_at"]
    return "expired" if expires_at is not None and expires_at < datetime.now(UTC) else "good"


def _of(used: float, limit: float | None) -> str:
    return f"{used}" if limit is None else f"{used} of {limit}"


def register(cli: typer.Typer) -> None:
    """Add the commands to the command line."""
    cli.add_typer(keys, name="keys")
    cli.command()(usage)
    cli.command()(audit)
