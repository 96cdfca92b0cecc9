"""The vocabulary of a report: what `POST /diagnose` answers, as pydantic models, `schema_version` "1".

Pure data. Numbers that are not finite are written as the strings "NaN", "Infinity" and "-Infinity", so the JSON is
always valid. Fields may be added within a schema version, never removed or renamed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from analyzers.report_base import Number, Part
from analyzers.report_layers import DepthPoint, Explanation, LayerFinding
from analyzers.report_static import StaticFacts

SCHEMA_VERSION: Literal["1"] = "1"

Verdict = Literal["phase_gap", "no_phase_gap", "inconclusive"]
Severity = Literal["critical", "warning", "info"]
VerificationStatus = Literal["verified", "rejected", "not_tested"]


class Evidence(Part):
    """A measured number and what it was held against."""

    name: str
    value: Number | int | bool | str | None
    unit: str | None = None
    reference: Number | int | bool | str | None = None
    layer: str | None = None


class CauseFinding(Part):
    """One possible cause, benign ones too. `code` is one of the closed list; `reference` is where the service that made
    the report explains it.
    """

    code: str
    confidence: float = Field(ge=0, le=1)
    severity: Severity
    layers: list[str] = []
    explanation: str
    evidence: list[Evidence] = []
    reference: str | None = None


class RivalVariant(Part):
    """Another way to carry out a remedy, tried beside the one that was taken; "doing nothing" is one.

    `mean`: its held-out loss, or squared distance to the training phase, a sample; `interval`: 95 % interval of how
    much lower that is than by doing nothing.
    """

    variant: str
    mean: Number
    interval: tuple[Number, Number] | None = None
    samples: int


class Verification(Part):
    """What was tried to back a remedy, and on which samples."""

    status: VerificationStatus
    method: str
    samples: int
    before: dict[str, Number | None] = {}
    after: dict[str, Number | None] = {}
    interval: tuple[Number, Number] | None = None
    note: str = ""
    rivals: list[RivalVariant] = []


class RemedyFinding(Part):
    """One thing that can be done. `repaired_model` says whether `GET /diagnoses/{id}/model` has the model it makes."""

    code: str
    title: str
    explanation: str
    snippet: str | None = None
    verification: Verification
    repaired_model: bool = False
    treats: list[str] = []


class DataPoint(Part):
    """What statistics taken from so many samples leave: the outputs' error, as a share of their spread."""

    samples: int
    remaining_error: Number


class PhaseFigures(Part):
    """One phase on the whole batch. `loss` is what Keras prints: data loss plus penalties."""

    loss: Number | None
    metrics: dict[str, Number] = {}
    data_loss: Number | None = None
    regularization_loss: Number | None = None
    repeats: int = 1
    repeat_sd: dict[str, Number] = {}


class Mechanisms(Part):
    """The difference of the outputs split by what causes it, in units of `relative_output_rms`; the parts sum to it."""

    batch_statistics: Number = 0.0
    stochastic_layers: Number = 0.0
    augmentation: Number = 0.0
    other: Number = 0.0


class Difference(Part):
    """How far the outputs of the two phases lie apart, and how far they would by chance.

    `smallest_detectable_rms`: a systematic difference below this would not be told from chance on this sample.
    `samples_to_settle`: where the sample leaves the question open, how many would settle it.
    """

    relative_output_rms: Number
    prediction_agreement: Number | None
    noise_floor: Number
    significant: bool
    systematic_output_rms: Number = 0.0
    smallest_detectable_rms: Number | None = None
    samples_to_settle: int | None = None
    by_mechanism: Mechanisms


class ReportedFigure(Part):
    """A figure that the user saw while training, and the phase that reproduces it on this sample.

    `definition`: what else than the compiled loss or metric of that name it was held against, in words; null where it
    is the compiled one. `inference` and `training` are the compiled figures where there are such.
    """

    name: str
    value: Number
    inference: Number | None
    training: Number | None
    reproduced_by: Literal["inference", "training", "both", "neither", "not_computed"]
    definition: str | None = None
    note: str = ""


class Phases(Part):
    """Both phases side by side."""

    batch_size: int
    inference: PhaseFigures
    training: PhaseFigures
    difference: Difference
    reported: list[ReportedFigure] = []


class ModelFacts(Part):
    """What the model file says about itself. `route` is what it was loaded and run by, with its version; `static` what
    was found in it before, None for a model that came as no file.
    """

    name: str
    format: str
    keras_version: str | None
    route: str | None = None
    parameters: int
    layers: int
    batch_normalizing_layers: int
    optimizer_iterations: int | None
    compiled: bool
    loss: str | None = None
    metrics: list[str] = []
    stochastic_layers: list[str] = []
    sha256: str | None = None
    static: StaticFacts | None = None


class ArrayFacts(Part):
    """One array of the batch."""

    name: str
    shape: list[int]
    dtype: str
    min: Number | None
    max: Number | None
    mean: Number | None
    sd: Number | None
    non_finite: int


class BatchFacts(Part):
    """What was sent to run the model on."""

    samples: int
    inputs: list[ArrayFacts]
    labels: dict[str, Any] | None
    sha256: str | None = None


class Check(Part):
    """Something the service proved about its own work, or could not run (then `passed` is None)."""

    name: str
    passed: bool | None
    detail: str


class Timing(Part):
    """Wall-clock seconds by stage."""

    queue: float = 0.0
    load: float = 0.0
    measure: float = 0.0
    explain: float = 0.0
    verify: float = 0.0
    total: float = 0.0


class Environment(Part):
    """What the diagnosis ran on."""

    device: str
    tensorflow: str
    keras: str
    python: str
    isolation: str | None = None


class Report(Part):
    """A whole diagnosis."""

    schema_version: Literal["1"] = SCHEMA_VERSION
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
    layers: list[LayerFinding]
    model: ModelFacts
    batch: BatchFacts
    checks: list[Check]
    timing_s: Timing
    environment: Environment
    shares_residual: Number = 0.0
    depth: list[DepthPoint] = []
    contest: list[Explanation] = []
    data_plan: list[DataPoint] = []
