"""`phasegap diagnose`, `report` and `watch`: their options, and which way each goes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.errors import InvalidRequest
from app.shell.delivery import Delivery
from app.shell.gate import EXIT_STATUSES, FailOn

SERVER_HELP = "A running service, such as http://127.0.0.1:8000; its API key in PHASEGAP_API_KEY, if it wants one."

AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Level = Annotated[FailOn, typer.Option("--fail-on", help="From which finding on the exit status is 1.")]
Junit = Annotated[Path | None, typer.Option(help="Write JUnit XML there, for a pipeline.", dir_okay=False)]
Sarif = Annotated[Path | None, typer.Option(help="Write SARIF 2.1.0 there, for code scanning.", dir_okay=False)]
Server = Annotated[str | None, typer.Option(help=SERVER_HELP)]
KnownServer = Annotated[str | None, typer.Option(help=SERVER_HELP, envvar="PHASEGAP_SERVER")]
Seconds = Annotated[float, typer.Option(help="How long to wait for a service; the diagnosis goes on.", min=0)]
Repaired = Annotated[Path | None, typer.Option(help="Where to write the repaired model, if there is one.")]

WAIT_SECONDS = 1800.0
REPORT_FILE_SUFFIX = ".json"
STANDARD_INPUT = "-"


def diagnose(
    model: Annotated[Path, typer.Argument(help="The saved model.", exists=True, dir_okay=False)],
    batch: Annotated[Path, typer.Argument(help="The sample batch.", exists=True, dir_okay=False)],
    as_json: AsJson = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Batch size of the training.")] = None,
    loss: Annotated[str | None, typer.Option(help="Keras identifier that replaces the compiled loss.")] = None,
    metrics: Annotated[str | None, typer.Option(help="Keras identifiers, comma-separated.")] = None,
    reported: Annotated[str | None, typer.Option(help='Figures seen while training: {"accuracy": 1.0}.')] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same input and seed: same report.")] = 0,
    label_column: Annotated[str | None, typer.Option(help="Label column of a CSV or Parquet batch.")] = None,
    custom_classes: Annotated[
        list[str] | None, typer.Option(help="Module that registers classes which the model uses; may be repeated.")
    ] = None,
    repaired: Repaired = None,
    server: Server = None,
    wait_seconds: Seconds = WAIT_SECONDS,
    fail_on: Level = FailOn.NEVER,
    junit: Junit = None,
    sarif: Sarif = None,
) -> None:
    """Diagnose a model on a sample batch: in this process, for models that you trust, or by a service (--server)."""
    options: dict[str, Any] = {
        "batch_size": batch_size, "loss": loss, "metrics": metrics, "seed": seed, "label_column": label_column
    }  # fmt: skip
    delivery = Delivery(str(model), as_json, junit, sarif, fail_on, _printer(repaired), server)
    if server is not None and custom_classes:
        raise typer.BadParameter("a service has the classes that its operator registered; leave it out with --server")

    def run() -> dict[str, Any]:
        from app.local import figures_of

        options["reported"] = figures_of(reported)
        return _diagnosed(model, batch, options, custom_classes or [], repaired, server, wait_seconds)

    raise typer.Exit(delivery.outcome_of(run))


def _diagnosed(
    model: Path, batch: Path, options: dict[str, Any], custom_classes: list[str], repaired: Path | None,
    server: str | None, wait_seconds: float,
) -> dict[str, Any]:  # fmt: skip
    """The report, made in this process or by a service."""
    if server is None:
        from app.local import diagnose_locally

        return diagnose_locally(model, batch, {**options, "repaired_path": repaired}, custom_classes)
    import phasegap
    from app.shell.remote import diagnose_remotely

    with phasegap.Client(server) as client:
        return diagnose_remotely(client, model, batch, options, repaired, wait_seconds)


def report(
    source: Annotated[str, typer.Argument(help="A report saved as JSON, - for standard input, or a diagnosis' id.")],
    as_json: AsJson = False,
    server: KnownServer = None,
    repaired: Repaired = None,
    fail_on: Level = FailOn.NEVER,
    junit: Junit = None,
    sarif: Sarif = None,
    model: Annotated[str | None, typer.Option(help="What SARIF calls the model's file.")] = None,
) -> None:
    """Print the report of a diagnosis that has ended, or turn it into a pipeline's files."""
    from phasegap.client import DEFAULT_SERVER

    is_saved = source == STANDARD_INPUT or source.endswith(REPORT_FILE_SUFFIX) or Path(source).is_file()

    def run() -> dict[str, Any]:
        from app.shell.remote import fetched, read

        if is_saved and repaired is not None:
            raise InvalidRequest("A repaired model is fetched from a service: name the diagnosis by its id.")
        if source == STANDARD_INPUT:
            return read(None, sys.stdin.read())
        if is_saved:
            return read(_there(source))
        import phasegap

        with phasegap.Client(server) as client:
            return fetched(client, source, repaired)

    asked = server or (None if is_saved else DEFAULT_SERVER)
    delivery = Delivery(model or "model", as_json, junit, sarif, fail_on, _printer(repaired), asked)
    raise typer.Exit(delivery.outcome_of(run))


def watch(
    diagnosis: Annotated[str | None, typer.Argument(help="The diagnosis' id; the newest, if left out.")] = None,
    as_json: AsJson = False,
    server: KnownServer = None,
    wait_seconds: Seconds = WAIT_SECONDS,
    fail_on: Level = FailOn.NEVER,
) -> None:
    """Follow a diagnosis until it ends, then say how."""

    def run() -> dict[str, Any]:
        import phasegap
        from app.shell.remote import watched

        with phasegap.Client(server) as client:
            return watched(client, diagnosis, wait_seconds)

    raise typer.Exit(Delivery("model", as_json, fail_on=fail_on, print_report=_print_summary).outcome_of(run))


def _there(source: str) -> Path:
    if not Path(source).is_file():
        raise InvalidRequest(f"There is no file {source}.")
    return Path(source)


def _print_summary(report: dict[str, Any]) -> None:
    import phasegap

    print(f"{report['id']}\n{phasegap.Report.of(report).summary()}")


def _printer(repaired: Path | None) -> Any:
    def show(report: dict[str, Any]) -> None:
        from app.terminal import print_report

        print_report(report)
        if any(remedy["repaired_model"] for remedy in report["remedies"]):
            hint = "A repaired model can be had: run this again with --repaired PATH."
            print(hint if repaired is None else f"The repaired model: {repaired}")

    return show


def register(cli: typer.Typer) -> None:
    """Add the commands to the command line."""
    cli.command(epilog=EXIT_STATUSES)(diagnose)
    cli.command(epilog=EXIT_STATUSES)(report)
    cli.command(epilog=EXIT_STATUSES)(watch)
