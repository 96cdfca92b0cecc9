"""Diagnose a model that MLflow keeps, and write what was found to its run.

    from phasegap import mlflow as phasegap_mlflow

    report = phasegap_mlflow.diagnose("models:/resnet@champion", "batch.npz", server="http://127.0.0.1:8000")

    python -m phasegap.mlflow models:/resnet@champion batch.npz

Takes `models:/name/version`, `models:/name@alias`, `models:/m-<id>` and `runs:/<id>/<path>`, of MLflow 2 and 3, through
the caller's own `mlflow` (`mlflow-skinny` is enough: the extra `mlflow`) with its own tracking server and login.
The run gets:

    phasegap/report.json, phasegap/report.html      artifacts
    phasegap.loss.inference, phasegap.largest_divergence_kl, ...   metrics
    phasegap.verdict, phasegap.primary_cause, phasegap.report_id, ...   tags
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phasegap.client import DEFAULT_SERVER, WAIT_SECONDS, Client
from phasegap.errors import PhaseGapError, Problem
from phasegap.mlflow_files import SIZE_LIMIT_BYTES, DiagnosisFailedError, download, fetch_model, told

PREFIX = "phasegap"
TAG_LIMIT = 500
"""Characters of a tag: MLflow 2 servers take no more than 5,000, and its pages show the beginning."""
EXIT_FAILED = 2
OPTIONS = ("batch_size", "loss", "metrics", "reported", "seed", "label_column", "device", "priority")
"""Form fields that `--option` takes."""


@dataclass(frozen=True)
class Logged:
    """A diagnosis that was written to a run."""

    report: dict[str, Any]
    run_id: str
    metrics: dict[str, float]
    tags: dict[str, str]


def diagnose(
    model_uri: str,
    batch: str | os.PathLike[str],
    *,
    server: str | None = None,
    api_key: str | None = None,
    run_id: str | None = None,
    size_limit_bytes: int = SIZE_LIMIT_BYTES,
    wait_seconds: float = WAIT_SECONDS,
    **options: Any,
) -> Logged:
    """Diagnose a model that MLflow keeps and log report, figures and tags to its run.

    Args:
        model_uri: `models:/...` or `runs:/...`.
        batch: the path of a batch file, or `runs:/<id>/<path>` of one.
        server: the PhaseGap service; else `PHASEGAP_SERVER`, else this machine's port 8000.
        api_key: where the service wants one; else `PHASEGAP_API_KEY`.
        run_id: the run to log to; else the run that the model comes from.
        size_limit_bytes: what is downloaded at most, of model and batch each.
        wait_seconds: how long to wait for the report.
        options: those of `Client.submit`: batch_size, loss, metrics, reported, seed, label_column, device, priority.

    Raises:
        DiagnosisFailedError: there is no such model, it is too large, or the service refused it.
    """
    with tempfile.TemporaryDirectory(prefix="phasegap-") as folder:
        model_file = fetch_model(model_uri, Path(folder) / "model", size_limit_bytes)
        run_id = run_id or run_of(model_uri)
        batch_file = _batch(batch, Path(folder) / "batch", size_limit_bytes)
        try:
            with Client(server, api_key=api_key) as client:
                report = client.diagnose(model_file, batch_file, wait_seconds=wait_seconds, **options)
                page = _page(client, report.id, Path(folder) / "report.html")
        except PhaseGapError as error:
            raise DiagnosisFailedError(str(error)) from error
    return log_report(report.data.model_dump(mode="json"), run_id, page, model_uri)


def run_of(model_uri: str) -> str:
    """The run that a model comes from."""
    import mlflow

    scheme, _, rest = model_uri.partition(":/")
    if scheme == "runs":
        return rest.split("/")[0]
    client = mlflow.MlflowClient()
    with told(f"There is no model {model_uri}"):
        if rest.startswith("m-"):
            run_id = client.get_logged_model(rest.split("/")[0]).source_run_id
        else:
            name, at, alias = rest.partition("@")
            name, _, version = (name, "", alias) if at else rest.partition("/")
            found = client.get_model_version_by_alias(name, alias) if at else client.get_model_version(name, version)
            run_id = found.run_id
    if not run_id:
        raise DiagnosisFailedError(f"{model_uri} comes from no run; say which run the report goes to (run_id).")
    return str(run_id)


def _batch(batch: str | os.PathLike[str], folder: Path, size_limit_bytes: int) -> Path:
    text = os.fspath(batch)
    if text.partition(":")[0] in ("models", "runs"):
        return download(text, folder, size_limit_bytes)
    if not Path(text).is_file():
        raise DiagnosisFailedError(f"There is no batch file {text}.")
    return Path(text)


def _page(client: Client, diagnosis_id: str, path: Path) -> str | None:
    """The report's page, None where the service gives none: the report itself is there, and worth logging."""
    try:
        return client.download_page(diagnosis_id, path).read_text("utf-8")
    except Problem:
        return None


def log_report(report: dict[str, Any], run_id: str, page: str | None = None, model_uri: str = "") -> Logged:
    """Write a report to a run: artifacts, metrics and tags. The run may have ended; its state is left as it is."""
    import mlflow

    client = mlflow.MlflowClient()
    metrics, tags = figures_of(report), tags_of(report, model_uri)
    with told(f"The report could not be written to the run {run_id}"):
        client.log_text(run_id, json.dumps(report, indent=2), f"{PREFIX}/report.json")
        if page is not None:
            client.log_text(run_id, page, f"{PREFIX}/report.html")
        for name, value in metrics.items():
            client.log_metric(run_id, name, value)
        for name, text in tags.items():
            client.set_tag(run_id, name, text)
    return Logged(report, run_id, metrics, tags)


def figures_of(report: dict[str, Any]) -> dict[str, float]:
    """The figures of a report that are worth a curve: finite numbers only."""
    phases, layers = report["phases"], report["layers"]
    found: dict[str, Any] = {}
    for phase in ("inference", "training"):
        values = phases.get(phase) or {}
        found[f"loss.{phase}"] = values.get("loss")
        found |= {f"{name}.{phase}": value for name, value in (values.get("metrics") or {}).items()}
    found["relative_output_rms"] = (phases.get("difference") or {}).get("relative_output_rms")
    found["noise_floor"] = (phases.get("difference") or {}).get("noise_floor")
    found["largest_divergence_kl"] = _largest(layer.get("divergence", {}).get("kl") for layer in layers)
    found["largest_share_of_gap"] = _largest(layer.get("share_of_gap") for layer in layers)
    found["significant_layers"] = sum(bool(layer.get("significant")) for layer in layers)
    return {f"{PREFIX}.{_metric_name(name)}": float(value) for name, value in found.items() if _is_finite(value)}


def tags_of(report: dict[str, Any], model_uri: str = "") -> dict[str, str]:
    """What a run is found by."""
    tags = {name: report.get(name) for name in ("verdict", "severity", "primary_cause", "recommended_fix", "headline")}
    tags |= {"report_id": report["id"], "model_sha256": report["model"].get("sha256"), "model_uri": model_uri}
    return {f"{PREFIX}.{name}": str(text or "none")[:TAG_LIMIT] for name, text in tags.items()}


def _largest(values: Iterable[Any]) -> float | None:
    return max((float(value) for value in values if _is_finite(value)), default=None)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _metric_name(name: str) -> str:
    """MLflow takes letters, digits and a few signs."""
    return "".join(char if char.isalnum() or char in "_-. /" else "_" for char in name)


def _option(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if name not in OPTIONS or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE with one of the names {', '.join(OPTIONS)}")
    return name, value


def main(arguments: list[str] | None = None) -> int:
    """`python -m phasegap.mlflow MODEL_URI BATCH`: the exit status is 0, or 2 where there was no report."""
    parser = argparse.ArgumentParser(prog="python -m phasegap.mlflow", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "model_uri", help="models:/name/version, models:/name@alias, models:/m-<id> or runs:/<id>/<path>"
    )
    parser.add_argument("batch", help="a batch file, or runs:/<id>/<path> of one")
    parser.add_argument("--server", help=f"the PhaseGap service (PHASEGAP_SERVER, else {DEFAULT_SERVER})")
    parser.add_argument("--run-id", help="the run to log to; default: the run that the model comes from")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", type=_option, help="batch_size=64"
    )
    given = parser.parse_args(arguments)
    try:
        done = diagnose(given.model_uri, given.batch, server=given.server, run_id=given.run_id, **dict(given.option))
    except DiagnosisFailedError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    print(f"{done.report['verdict']}: {done.report['headline']}\nlogged to run {done.run_id}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
