"""The command line. Starts without TensorFlow, NumPy or the web stack; each command imports what it needs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app import __version__
from app.extras import missing_extra
from app.settings import ENV_PREFIX, Settings, load_settings
from app.shell import access, commands
from app.shell.gate import EXIT_INPUT_AT_FAULT, EXIT_NO_ANSWER

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

ParentPid = Annotated[int | None, typer.Option("--parent-pid", hidden=True)]
Devices = Annotated[
    str | None, typer.Option(help="What guests run on: auto, cpu, gpu, gpu:0,1, cpu+gpu:0.", show_default="auto")
]
GuestsPerGpu = Annotated[int | None, typer.Option(help="Jobs on one GPU at a time.", show_default="1")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of uploads, results and the database.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"phasegap {__version__}")
        raise typer.Exit


@cli.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Why does my model predict differently than it trains?"""


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8000,
    data_dir: DataDir = None,
    worker: Annotated[bool, typer.Option(help="Run a worker beside the web process.")] = True,
    devices: Devices = None,
    guests_per_gpu: GuestsPerGpu = None,
) -> None:
    """Run the service: web process and worker, until interrupted."""
    from app.logs import configure_logs
    from app.supervisor import WORKER
    from app.supervisor import serve as supervise

    settings = _settings(data_dir, devices, guests_per_gpu)
    configure_logs(settings, "supervisor")
    raise typer.Exit(supervise(settings, host, port, WORKER if worker else None))


@cli.command(hidden=True)
def web(
    listener: Annotated[int, typer.Option(help="Descriptor of the listening socket.")], parent_pid: ParentPid = None
) -> None:
    """The web process of `serve`."""
    import socket

    settings = _begin_process("web", parent_pid, None)
    from app.web import serve_web

    raise typer.Exit(serve_web(settings, socket.socket(fileno=listener)))


@cli.command()
def worker(
    data_dir: DataDir = None,
    devices: Devices = None,
    guests_per_gpu: GuestsPerGpu = None,
    parent_pid: ParentPid = None,
) -> None:
    """Run a worker alone, beside web processes that share its database and data folder."""
    settings = _begin_process("worker", parent_pid, data_dir, devices, guests_per_gpu)
    from app.sandbox.host import Sandbox
    from app.worker.process import run_worker
    from app.worker.runner import guest_limits

    sandbox = Sandbox(
        custom_classes_modules=settings.custom_classes_modules,
        custom_classes_dir=settings.custom_classes_dir,
        isolation_required=settings.isolation_required,
        guest_uid_base=settings.guest_uid_base,
        folder=settings.data_dir / "scratch",
        guest_start=settings.guest_start,
        spare=guest_limits(settings, None) if settings.guest_spare else None,
        slots=settings.slots,
    )
    run_worker(settings, sandbox)


@cli.command()
def migrate(
    data_dir: DataDir = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit status 1 if it is behind.")] = False,
) -> None:
    """Bring the database's schema up to date, beside running processes of the version before."""
    from app.logs import configure_logs
    from app.services import bring_up_to_date, what_is_missing

    settings = _settings(data_dir)
    configure_logs(settings, "migrate")
    if not check:
        bring_up_to_date(settings)
    missing = what_is_missing(settings)
    typer.echo(missing or "The schema is up to date.", err=missing is not None)
    raise typer.Exit(1 if missing else 0)


@cli.command()
def settings() -> None:
    """List every setting: environment variable, value in force, default, meaning."""
    in_force = load_settings()
    for name, field in Settings.model_fields.items():
        value = getattr(in_force, name)
        changed = "" if value == _default(field) else f"  (default: {_default(field)})"
        typer.echo(f"{ENV_PREFIX}{name.upper()} = {value}{changed}\n    {field.description}")


@cli.command("hash-key")
def hash_key(key: Annotated[str, typer.Option(prompt=True, hide_input=True, help="The API key.")]) -> None:
    """Print what to put into PHASEGAP_API_KEY_HASHES for an API key."""
    import hashlib

    typer.echo(hashlib.sha256(key.encode()).hexdigest())


commands.register(cli)
access.register(cli)


def _settings(data_dir: Path | None, devices: str | None = None, guests_per_gpu: int | None = None) -> Settings:
    return load_settings(data_dir=data_dir, devices=devices, guests_per_gpu=guests_per_gpu)


def _default(field: Any) -> object:
    return field.default.absolute() if isinstance(field.default, Path) else field.default


def _begin_process(
    name: str,
    parent_pid: int | None,
    data_dir: Path | None,
    devices: str | None = None,
    guests_per_gpu: int | None = None,
) -> Settings:
    from app.kin import die_with_parent
    from app.logs import configure_logs
    from app.traces import configure_traces

    if parent_pid is not None:
        die_with_parent(parent_pid)
    settings = _settings(data_dir, devices, guests_per_gpu)
    configure_logs(settings, name)
    configure_traces(settings, name)
    return settings


def main() -> None:
    """The entry point of `phasegap`."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    try:
        cli()
    except SettingsError as error:
        typer.echo(str(error), err=True)
        sys.exit(EXIT_INPUT_AT_FAULT)
    except ValidationError as error:
        for item in error.errors():
            name = ENV_PREFIX + "_".join(str(part) for part in item["loc"]).upper()
            typer.echo(f"{name}: {item['msg']}", err=True)
        sys.exit(EXIT_INPUT_AT_FAULT)
    except ModuleNotFoundError as error:
        advice = missing_extra(error.name)
        if advice is None:
            raise
        typer.echo(advice, err=True)
        sys.exit(EXIT_NO_ANSWER)


if __name__ == "__main__":
    main()
