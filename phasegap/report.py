"""A report as a typed object: the contract's fields, ways to look at it, and what can be done with it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from analyzers.report import Report as ReportData
from phasegap import applying, html
from phasegap.errors import ApplyRefused, ReportUnreadable
from phasegap.layers import LayerList, as_frame
from phasegap.texts import number, plain

if TYPE_CHECKING:
    from datetime import datetime

    from analyzers.report import (
        BatchFacts,
        CauseFinding,
        Check,
        Environment,
        ModelFacts,
        Phases,
        RemedyFinding,
        Severity,
        Timing,
        Verdict,
    )
    from analyzers.report_layers import DepthPoint, Explanation, LayerFinding
    from phasegap.client import Client


class Report:
    """A diagnosis that has ended. Every field of the report is an attribute: `report.verdict`, `report.causes`, ...

    `data` is the whole report as a pydantic model, fields that only a newer service knows included.
    """

    if TYPE_CHECKING:
        id: str
        created_at: datetime
        verdict: Verdict
        severity: Severity
        headline: str
        primary_cause: str | None
        causes: list[CauseFinding]
        recommended_fix: str | None
        remedies: list[RemedyFinding]
        phases: Phases
        model: ModelFacts
        batch: BatchFacts
        checks: list[Check]
        timing_s: Timing
        environment: Environment
        shares_residual: float
        depth: list[DepthPoint]
        contest: list[Explanation]

    def __init__(self, data: ReportData, client: Client | None = None) -> None:
        self.data = data
        self._client = client

    @classmethod
    def of(cls, document: Any, client: Client | None = None) -> Report:
        """The report in a JSON answer; `client` is where the repaired model is fetched from.

        Raises:
            phasegap.ReportUnreadable: it is no report, or one of a form that this client does not know.
        """
        try:
            return cls(ReportData.model_validate(document, extra="allow"), client)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise ReportUnreadable(
                f"This is no report that this client can read (`{where}`: {error.errors()[0]['msg']}). If a newer "
                "service wrote it, update this package.",
                document,
            ) from error

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Report:
        """A report that was saved as JSON."""
        return cls.from_json(Path(path).read_bytes())

    @classmethod
    def from_json(cls, text: str | bytes) -> Report:
        """A report as JSON."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise ReportUnreadable(f"This is no JSON: {error}.", text) from error
        return cls.of(document)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "data":  # while it is being copied or unpickled there is no data yet
            raise AttributeError(name)
        return getattr(self.data, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *type(self.data).model_fields})

    def __repr__(self) -> str:
        return f"<phasegap.Report {self.id}: {plain(self.model.name)}: {self.verdict}, {self.severity}>"

    def _repr_html_(self) -> str:
        return html.report(self.data)

    @property
    def layers(self) -> Any:
        """The batch-normalizing layers in order of data flow: a pandas DataFrame by path.

        Where pandas is not installed, the list that `layer_findings` is.
        """
        frame = as_frame(self.data.layers)
        return self.layer_findings if frame is None else frame

    @property
    def layer_findings(self) -> list[LayerFinding]:
        """The same layers as typed objects, channels included, whether pandas is installed or not."""
        return LayerList(self.data.layers)

    @property
    def fix(self) -> RemedyFinding | None:
        """The recommended remedy."""
        return next((r for r in self.data.remedies if r.code == self.data.recommended_fix), None)

    @property
    def repair(self) -> RemedyFinding | None:
        """The remedy whose result is the repaired model, None where there is no such model."""
        return next((r for r in self.data.remedies if r.repaired_model), None)

    def summary(self) -> str:
        """What it comes down to, in a few lines."""
        data, difference = self.data, self.data.phases.difference
        lines = [f"{plain(data.model.name)}: {data.verdict.replace('_', ' ')} ({data.severity})", plain(data.headline)]
        if not (data.model.static and data.model.static.weights_only):
            inference, training = data.phases.inference, data.phases.training
            lines.append(f"loss: inference {number(inference.loss)}, training phase {number(training.loss)}")
            for name, value in inference.metrics.items():
                lines.append(
                    f"{plain(name)}: inference {number(value)}, training phase {number(training.metrics.get(name))}"
                )
            floor = number(difference.noise_floor)
            chance = "how much by chance, so few samples cannot tell" if floor == "NaN" else f"by chance {floor}"
            lines.append(f"outputs differ by {number(difference.relative_output_rms)} (relative RMS); {chance}")
        lines += [f"cause: {c.code}, confidence {c.confidence:.0%}, {c.severity}" for c in data.causes]
        if self.fix is not None:
            lines.append(f"fix: {plain(self.fix.title)} [{self.fix.verification.status.replace('_', ' ')}]")
        if self.repair is not None:
            untested = self.repair.verification.status != "verified"
            call = f"report.apply(model{', allow_not_tested=True' if untested else ''})"
            lines.append(f"a repaired model is there: report.download_repaired(path), or {call}")
        return "\n".join(lines)

    def to_json(self, indent: int | None = 2) -> str:
        """The report as the service wrote it."""
        return self.data.model_dump_json(indent=indent)

    def download_repaired(self, path: str | os.PathLike[str]) -> Path:
        """Save the repaired model to a file, or into a folder.

        Raises:
            phasegap.NotFound: there is none.
        """
        if self._client is None:
            raise ApplyRefused("This report came from a file: name a service, Client(url).download_repaired(id, path).")
        return self._client.download_repaired(self.id, path)

    def apply(
        self, model: Any, *, allow_not_tested: bool = False, repaired: str | os.PathLike[str] | None = None
    ) -> applying.Applied:
        """Put the verified statistics into a live model; returns what changed, with `undo()`.

        The model must be the one that was diagnosed, with the same weights: statistics belong to the weights that they
        were taken with. Nothing but moving statistics is changed, and where that is not possible nothing at all.

        Args:
            model: the live Keras model.
            allow_not_tested: also where the batch was too small to test the remedy on samples held out.
            repaired: the repaired model as a file; by default it is fetched from the service.

        Raises:
            phasegap.ApplyRefused: there is no verified fix of this kind, or this is another model; it says why.
        """
        return applying.apply(self, model, allow_not_tested=allow_not_tested, repaired=repaired)
