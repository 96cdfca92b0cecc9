"""Diagnoses by a service, through the client: what `--server`, `report` and `watch` do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import phasegap
from app.errors import InputProblem, InvalidRequest
from app.shell.delivery import NoAnswer
from phasegap.progress import line, shown


def diagnose_remotely(
    client: phasegap.Client, model: Path, batch: Path, options: dict[str, Any], repaired: Path | None, seconds: float
) -> dict[str, Any]:
    """Send both files and wait for the report."""

    def ask() -> phasegap.Report:
        with shown(True) as tell:
            tell("upload", 0.0)
            job = client.submit(model, batch, **options)
            report = client.wait(job.id, wait_seconds=seconds, progress=tell, on_note=line)
            if repaired is not None and report.repair is not None:
                report.download_repaired(repaired)
            return report

    return document(ask)


def watched(client: phasegap.Client, diagnosis_id: str | None, seconds: float) -> dict[str, Any]:
    """Follow a diagnosis, the newest by default, to its report."""

    def ask() -> phasegap.Report:
        found = diagnosis_id or next((item.id for item in client.diagnoses()), None)
        if found is None:
            raise InvalidRequest(f"{client.server} has no diagnoses yet.")
        return client.wait(found, wait_seconds=seconds, on_note=line)

    return document(ask)


def fetched(client: phasegap.Client, diagnosis_id: str, repaired: Path | None) -> dict[str, Any]:
    """The report of a diagnosis that has ended."""

    def ask() -> phasegap.Report:
        report = client.report(diagnosis_id)
        if repaired is not None:
            report.download_repaired(repaired)
        return report

    return document(ask)


def read(source: Path | None, text: str | None = None) -> dict[str, Any]:
    """A report that was saved as JSON, from a file or given as text."""
    return document(lambda: phasegap.Report.from_file(source) if source else phasegap.Report.from_json(text or ""))


def document(ask: Any) -> dict[str, Any]:
    """The report as data; what the client raises becomes a problem or the absence of an answer."""
    try:
        report: phasegap.Report = ask()
    except phasegap.Problem as problem:
        raise InputProblem(problem.code, problem.detail) from problem
    except phasegap.ReportUnreadable as error:
        raise InvalidRequest(str(error)) from error
    except phasegap.PhaseGapError as error:
        raise NoAnswer(str(error)) from error
    result: dict[str, Any] = report.data.model_dump(mode="json")
    return result
