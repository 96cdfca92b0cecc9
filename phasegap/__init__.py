"""The client: ask a PhaseGap service from Python why a Keras model predicts differently than it trains.

    import phasegap

    client = phasegap.Client("http://127.0.0.1:8000")
    report = client.diagnose(model, x, y)  # a live Keras model, a path or bytes
    print(report.summary())
    report.apply(model)  # puts the verified statistics into the live model

`PhaseGapCheck` is a Keras callback that watches a training; Keras is imported when it is asked for. The rest needs
neither Keras nor NumPy of its own: it uses those that the caller has imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phasegap.applying import Applied, LayerChange
from phasegap.client import Client
from phasegap.errors import (
    ApplyRefused,
    Busy,
    DiagnosisCancelled,
    Forbidden,
    InputProblem,
    NotFinishedInTime,
    NotFound,
    PhaseGapError,
    Problem,
    ReportUnreadable,
    ServiceFault,
    ServiceUnreachable,
    Unauthorized,
)
from phasegap.jobs import Job, JobProgress, JobSummary
from phasegap.report import Report

if TYPE_CHECKING:
    from phasegap.training.callback import PhaseGapCheck, PhaseGapWarning

__all__ = [
    "Applied",
    "ApplyRefused",
    "Busy",
    "Client",
    "DiagnosisCancelled",
    "Forbidden",
    "InputProblem",
    "Job",
    "JobProgress",
    "JobSummary",
    "LayerChange",
    "NotFinishedInTime",
    "NotFound",
    "PhaseGapCheck",
    "PhaseGapError",
    "PhaseGapWarning",
    "Problem",
    "Report",
    "ReportUnreadable",
    "ServiceFault",
    "ServiceUnreachable",
    "Unauthorized",
]


def __getattr__(name: str) -> Any:
    if name in ("PhaseGapCheck", "PhaseGapWarning"):
        from phasegap.training import callback

        return getattr(callback, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
