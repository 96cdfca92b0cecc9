"""The vocabulary of a report: what `POST /diagnose` answers, as pydantic models, `schema_version` "1".

Pure data. Numbers that are not finite are written as the strings "NaN", "Infinity" and "-Infinity", so the JSON is
always valid. Fields may be added within a schema version, never removed or renamed.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

SCHEMA_VERSION: Literal["1"] = "1"

Verdict = Literal["phase_gap", "no_phase_gap", "inconclusive"]
Severity = Literal["critical", "warning", "info"]
VerificationStatus = Literal["verified", "rejected", "not_tested"]
LayerStatus = Literal["ok", "divergent", "lagging", "never_updated", "corrupt", "frozen", "not_reached"]


def _plain(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


Number = Annotated[float, PlainSerializer(_plain, when_used="json")]
"""A float that stays valid JSON when it is not finite."""


class Part(BaseModel):
    """Base of every part of the report: unknown names are a programming error here, but clients must tolerate them."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Evidence(Part):
    """A measured number and what it was held against."""

    name: str
    value: Number | int | bool | str | None
    unit: str | None = None
    reference: Number | int | bool | str | None = None
    layer: str | None = None


class CauseFinding(Part):
    """One possible cause, benign ones too. `code` is one of the closed list."""

    code: str
    confidence: float = Field(ge=0, le=1)
    severity: Severity
    layers: list[str] = []
    explanation: str
    evidence: list[Evidence] = []


class Verification(Part):
    """What was tried to back a remedy, and on which samples."""

    status: VerificationStatus
    method: str
    samples: int
    before: dict[str, Number | None] = {}
    after: dict[str, Number | None] = {}
    interval: tuple[Number, Number] | None = None
    note: str = ""


class RemedyFinding(Part):
    """One thing that can be done. `repaired_model` says whether `GET /diagnoses/{id}/model` has the model it makes."""

    code: str
    title: str
    explanation: str
    snippet: str | None = None
    verification: Verification
    repaired_model: bool = False
    treats: list[str] = []


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
    """A figure that the user saw while training, and the phase that reproduces it on this sample."""

    name: str
    value: Number
    inference: Number | None
    training: Number | None
    reproduced_by: Literal["inference", "training", "both", "neither", "not_computed"]


class Phases(Part):
    """Both phases side by side."""

    batch_size: int
    inference: PhaseFigures
    training: PhaseFigures
    difference: Difference
    reported: list[ReportedFigure] = []


class ChannelDivergence(Part):
    """One channel of a layer: stored against batch statistics."""

    channel: int
    kl: Number
    significant: bool = False
    stored_mean: Number
    batch_mean: Number
    stored_variance: Number
    batch_variance: Number


class Divergence(Part):
    """Stored statistics against those of the batch in a training-phase pass, averaged over channels.

    `kl` is KL(batch || stored) of two normal distributions, in nats; `mean_shift_sd` is the root mean square over
    channels of the difference of the means in stored standard deviations; `variance_ratio` the geometric mean of batch
    over stored; `wasserstein2` the root mean square Wasserstein-2 distance in stored standard deviations.
    """

    kl: Number
    mean_shift_sd: Number
    variance_ratio: Number
    wasserstein2: Number
    worst_channels: list[ChannelDivergence] = []


class LayerFinding(Part):
    """One batch-normalizing layer. `path` joins the names from the outermost model inwards with `/`.

    `noise_floor`: divergence that chance gives one time in a hundred. `significant`: beyond chance, at most 1 % false
    discoveries among all layers; `significant_channels`: how many channels are, among all channels.
    `smallest_detectable_kl`: the divergence that a sample of this size shows nine times in ten.
    """

    path: str
    class_name: str
    calls: int
    channels: int
    axis: int | list[int]
    momentum: Number
    epsilon: Number
    trainable: bool
    divergence: Divergence
    noise_floor: Number
    significant: bool
    significant_channels: int = 0
    smallest_detectable_kl: Number = 0.0
    inherited: Number
    share_of_gap: Number
    effective_updates: Number | None
    updates_to_converge: int | None
    status: LayerStatus


class Explanation(Part):
    """One explanation in the contest for the divergence: the share of it (0 to 1) that it predicts."""

    code: str
    explained: Number


class DepthPoint(Part):
    """Divergence of one layer, in nats: its own, what it inherits at inference, and both after the recommended fix.

    `after_fix` is measured on samples that the statistics were not taken from; None where no fix changes statistics.
    """

    path: str
    local: Number
    inherited: Number
    after_fix: Number | None = None


class ModelFacts(Part):
    """What the model file says about itself."""

    name: str
    format: str
    keras_version: str | None
    parameters: int
    layers: int
    batch_normalizing_layers: int
    optimizer_iterations: int | None
    compiled: bool
    loss: str | None = None
    metrics: list[str] = []
    stochastic_layers: list[str] = []
    sha256: str | None = None


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
