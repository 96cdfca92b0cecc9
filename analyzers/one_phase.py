"""What may be said of a SavedModel that runs for inference only: its statistics, and how to get the rest.

Its training phase cannot be run. What stands for it in the measurements is the inference function with every layer
normalizing by the batch: enough to hold stored statistics against those of the sample, but no phase that anybody
trained with. So nothing is concluded, nothing recommended, and no figure of a training phase is printed.
"""

from __future__ import annotations

from dataclasses import replace

from analyzers.prescribing import Prescription
from analyzers.report import Check, Mechanisms, PhaseFigures, Report
from analyzers.report_layers import LayerFinding
from analyzers.subjects.saved_model import EXPORT_BOTH
from analyzers.subjects.saved_model_subject import TracedSubject
from analyzers.traced import Subject
from analyzers.wording import plural

UNKNOWN = float("nan")  # Written as "NaN": not measured, and not zero.
TELLING = ("never_updated", "corrupt", "lagging", "divergent")
ONLY_INFERENCE = (
    "the file runs the inference phase only, so no training phase was run: layers are measured with the inference "
    "function normalizing by the batch, and the momentum, where no metadata tell it, is not known"
)


def limit(subject: Subject, report: Report, prescription: Prescription) -> Prescription:
    """Take back from `report` what needs both phases, where the file has one; returns what is left to repair."""
    if not isinstance(subject, TracedSubject) or not subject.one_phase:
        return prescription
    report.verdict, report.severity = "inconclusive", "warning" if _suspicious(report) else "info"
    report.primary_cause, report.recommended_fix, report.remedies = None, None, []
    loud = [c for c in report.causes if c.severity != "info"]
    report.causes = [c.model_copy(update={"severity": "warning", "confidence": c.confidence / 2}) for c in loud]
    report.headline = f"Only the inference phase is in this file. {_statistics(report)} {EXPORT_BOTH}"
    report.phases.training = PhaseFigures(loss=None)
    difference = report.phases.difference
    difference.relative_output_rms = difference.noise_floor = difference.systematic_output_rms = UNKNOWN
    difference.prediction_agreement, difference.significant = None, False
    difference.by_mechanism = Mechanisms()
    guessed = {s.path for s in subject.sites if not getattr(s.layer, "settings_known", True)}
    report.layers = [_without_guesses(x) if x.path in guessed else x for x in report.layers]
    report.layers = [x.model_copy(update={"share_of_gap": 0.0}) for x in report.layers]
    report.checks.append(Check(name="phases_in_file", passed=None, detail=ONLY_INFERENCE))
    return replace(prescription, remedies=[], recommended=None, constants={})


def _without_guesses(layer: LayerFinding) -> LayerFinding:
    """Momentum is not in a graph for inference, nor what counts updates by it."""
    return layer.model_copy(update={"momentum": UNKNOWN, "effective_updates": None, "updates_to_converge": None})


def _suspicious(report: Report) -> bool:
    return any(x.status in TELLING for x in report.layers)


def _statistics(report: Report) -> str:
    """The stored statistics in one sentence."""
    counts = {s: sum(x.status == s for x in report.layers) for s in TELLING}
    said = {
        "never_updated": "stand at their start",
        "corrupt": "hold impossible values",
        "lagging": "lag behind those of the sample",
        "divergent": "differ from those of the sample beyond chance",
    }
    parts = [f"{plural(n, 'layer')} {said[s]}" for s, n in counts.items() if n]
    if not parts:
        return f"The stored statistics of its {plural(len(report.layers), 'layer')} agree with the sample."
    return f"Of its stored statistics, those of {', of '.join(parts)}."
