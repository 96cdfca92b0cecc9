"""The client of a service: send a model, wait, read the report."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from phasegap.errors import DiagnosisCancelled, problem_of
from phasegap.following import Follower
from phasegap.jobs import Job, JobSummary
from phasegap.progress import Tell, shown
from phasegap.report import Report
from phasegap.transport import Patience, Transport
from phasegap.uploads import batch_part, model_part, opened

SERVER_VARIABLE = "PHASEGAP_SERVER"
API_KEY_VARIABLE = "PHASEGAP_API_KEY"
DEFAULT_SERVER = "http://127.0.0.1:8000"
WAIT_SECONDS = 1800.0
"""For one diagnosis: its deadline in the service is ten minutes, and others may stand before it in the queue."""


class Client:
    """Speaks to one service. A context manager; without `with`, `close()` gives the connections back.

    Args:
        server: address of the service; else the environment's `PHASEGAP_SERVER`, else this machine's port 8000.
        api_key: where the service wants one; else the environment's `PHASEGAP_API_KEY`.
        retry_seconds: for how long in all a request is sent again that the service answers with "later" (429, 503
            or 507 with `Retry-After`) or whose connection breaks. 0: never.
        answer_seconds: how long one answer may take.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        api_key: str | None = None,
        retry_seconds: float = Patience.retry_seconds,
        answer_seconds: float = Patience.answer_seconds,
    ) -> None:
        self.server = server or os.environ.get(SERVER_VARIABLE) or DEFAULT_SERVER
        key = api_key if api_key is not None else os.environ.get(API_KEY_VARIABLE)
        self._transport = Transport(self.server, key, Patience(answer_seconds, retry_seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"phasegap.Client({self.server!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    def diagnose(
        self,
        model: Any,
        x: Any,
        y: Any = None,
        *,
        wait_seconds: float = WAIT_SECONDS,
        progress: bool | Tell = True,
        **options: Any,
    ) -> Report:
        """Send a model and a sample batch, wait, return the report.

        Args:
            model: a live Keras model (saved to a temporary file by its own `save`; it is left as it is), the path of
                a saved model, or its bytes.
            x: inputs, an array (samples, ...), or a list or dictionary of arrays for several inputs; or the path or
                the bytes of a batch file, which holds its labels itself.
            y: labels in the same forms, or None: then only the outputs of the phases are compared.
            wait_seconds: how long to wait; the diagnosis goes on after that.
            progress: True draws a bar on a terminal or in a notebook; a function gets each stage and fraction.
            options: those of `submit`: batch_size, loss, metrics, reported, seed, label_column, sample_weight,
                device, priority.

        Raises:
            phasegap.InputProblem: the model or the batch cannot be diagnosed; `detail` says what to change.
            phasegap.NotFinishedInTime, phasegap.Busy, phasegap.ServiceUnreachable, phasegap.Unauthorized: see
                `phasegap.errors`.
        """
        with shown(progress) as tell:
            tell("upload", 0.0)
            job = self.submit(model, x, y, **options)
            return self.wait(job.id, wait_seconds=wait_seconds, progress=tell)

    def submit(
        self,
        model: Any,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        batch_size: int | None = None,
        loss: str | None = None,
        metrics: str | Sequence[str] | None = None,
        reported: Mapping[str, float] | str | None = None,
        seed: int | None = None,
        label_column: str | None = None,
        device: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Send a model and a sample batch and do not wait; `wait(job.id)` gives the report.

        Args:
            model: see `diagnose`; so are `x` and `y`.
            sample_weight: weights (samples,), or None.
            batch_size: that of training; default 32, or the number of samples where that is smaller.
            loss: a Keras identifier that replaces what the model was compiled with.
            metrics: likewise, identifiers as a list or separated by commas.
            reported: figures seen while training, such as `{"accuracy": 1.0}`; a string is sent as the JSON that it is.
            seed: same inputs and seed give the same report, timing aside.
            label_column: the column of a CSV or Parquet batch that holds the labels.
            device: auto, cpu or gpu: what it must run on.
            priority: 0 to 9, before lower ones; at most, and by default, what your API key may ask for.
            idempotency_key: makes a repeated request the same request; by default each call is one of its own, and
                what it has to send again after a broken connection runs once.
        """
        fields = {
            "batch_size": batch_size, "loss": loss, "seed": seed, "label_column": label_column,
            "metrics": metrics if metrics is None or isinstance(metrics, str) else ",".join(metrics),
            "device": device, "priority": priority,
            "reported": _figures(reported),
        }  # fmt: skip
        given = {name: str(value) for name, value in fields.items() if value is not None}
        headers = {"Prefer": "respond-async", "Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        with model_part(model) as model_file, batch_part(x, y, sample_weight) as batch_file:
            answer = self._transport.post("/diagnose", headers, given, lambda: opened(model_file, batch_file))
        # A report that is there already comes at once, as 200; its diagnosis has its id.
        return self.job(str(answer["id"])) if "verdict" in answer else Job.model_validate(answer)

    def wait(
        self, diagnosis_id: str, *, wait_seconds: float = WAIT_SECONDS, progress: bool | Tell = True,
        on_note: Callable[[str], None] | None = None,
    ) -> Report:  # fmt: skip
        """Wait for a diagnosis to end; returns its report.

        `on_note` is called with what the service found in the model file before it loaded it.

        Raises:
            phasegap.Problem: it failed, and why.
            phasegap.NotFinishedInTime: it has not ended yet.
            phasegap.DiagnosisCancelled: it was cancelled.
        """
        with shown(progress) as tell:
            follower = Follower(self._transport, diagnosis_id, wait_seconds, tell)
            follower.on_note = on_note
            return self._report_of(follower.ended_job())

    def job(self, diagnosis_id: str) -> Job:
        """How far a diagnosis is."""
        return Job.model_validate(self._transport.get(_path(diagnosis_id)))

    def report(self, diagnosis_id: str) -> Report:
        """The report of a diagnosis that has ended."""
        return Report.of(self._transport.get(f"{_path(diagnosis_id)}/report"), self)

    def diagnoses(self, **filters: Any) -> Iterator[JobSummary]:
        """All diagnoses, newest first; filters are `status`, `verdict`, `cause`, `model_name` and `since`."""
        cursor: str | None = None
        while True:
            page = self._transport.get("/diagnoses", cursor=cursor, **filters)
            yield from (JobSummary.model_validate(item) for item in page["items"])
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def download_repaired(self, diagnosis_id: str, path: str | os.PathLike[str]) -> Path:
        """Save the repaired model to a file, or into a folder under its diagnosis' id.

        Raises:
            phasegap.NotFound: no remedy was found that changes stored statistics only.
        """
        target = Path(path)
        if target.is_dir():
            kept = "".join(c for c in diagnosis_id if c.isalnum())  # an id from somewhere else must not lead elsewhere
            target = target / f"{kept}-repaired{self._ending(diagnosis_id)}"
        self._transport.save(f"{_path(diagnosis_id)}/model", target)
        return target

    def download_page(self, diagnosis_id: str, path: str | os.PathLike[str]) -> Path:
        """Save the report's page with its plots as one HTML file that needs nothing else, to send to somebody."""
        target = Path(path)
        self._transport.save(f"{_path(diagnosis_id)}/report.html", target, "text/html")
        return target

    def delete(self, diagnosis_id: str) -> None:
        """Cancel a diagnosis if it runs; remove its uploads, its report and everything derived."""
        self._transport.delete(_path(diagnosis_id))

    def _report_of(self, job: Job) -> Report:
        if job.status == "succeeded" and job.report is not None:
            return Report.of(job.report, self)
        if job.status == "failed":
            raise problem_of({**(job.error or {}), "id": job.id})
        raise DiagnosisCancelled(f"The diagnosis {job.id} was cancelled or removed and has no report.")

    def _ending(self, diagnosis_id: str) -> str:
        name = str((self.job(diagnosis_id).model_extra or {}).get("model_file_name") or "")
        lowered = name.lower()
        return next((e for e in (".tar.gz", ".tgz") if lowered.endswith(e)), Path(lowered).suffix or ".keras")


def _figures(reported: Mapping[str, float] | str | None) -> str | None:
    if reported is None or isinstance(reported, str):
        return reported
    return json.dumps({name: float(value) for name, value in reported.items()})


def _path(diagnosis_id: str) -> str:
    return f"/diagnoses/{quote(diagnosis_id, safe='')}"
