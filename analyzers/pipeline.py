"""The whole way on one screen: load, measure, explain, prescribe, verify, report."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from analyzers import data_plan, depth, dialect, drafting, one_phase, weights_only
from analyzers.batches import fit_batch, raw_from_arrays, read_batch
from analyzers.batches.spec import Batch, RawBatch
from analyzers.causes import judge_all
from analyzers.errors import BatchTooSmall, InvalidOption
from analyzers.evaluation import Evaluator, compiled_from_config, compiled_from_names
from analyzers.facts import Source, batch_facts, conversions, identity, model_facts
from analyzers.judges import inferred
from analyzers.measuring import measure
from analyzers.observation import Observer
from analyzers.prescribing import Prescription, prescribe
from analyzers.probes import named
from analyzers.report import Check, Report, Timing
from analyzers.reported import reproduce
from analyzers.running import within_memory
from analyzers.signature import specs, structure
from analyzers.static_facts import static_facts
from analyzers.subjects.footprint import check_outputs
from analyzers.subjects.loading import LoadedModel, load_model
from analyzers.subjects.outline import read_outline
from analyzers.subjects.outline_facts import Outline
from analyzers.subjects.outline_words import note
from analyzers.subjects.repair import write_repaired
from analyzers.traced import Subject, checks, subject_of
from analyzers.verdict import decide

LABELS_UNUSED = (
    "labels were sent, but the model has no compiled loss or metrics to judge them by: name `loss` and `metrics`, or "
    "only the outputs of the phases are compared"
)
DEFAULT_BATCH_SIZE = 32  # Keras' own.

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Options:
    """How to diagnose; see `analyzers.diagnose`."""

    batch_size: int | None = None
    loss: Any = None
    metrics: Any = None
    reported: dict[str, float] | None = None
    seed: int = 0
    memory_bytes: int | None = field(default=None, repr=False)  # no part of what is asked, and so of the identity


def diagnose_saved(
    model_path: Path,
    batch_path: Path,
    *,
    repaired_path: Path | None = None,
    label_column: str | None = None,
    progress: Progress | None = None,
    found: Callable[[str], None] | None = None,
    sha256: tuple[str, str] | None = None,
    **options: Any,
) -> Report:
    """See `analyzers.diagnose_files`."""
    began = time.perf_counter()
    tell = progress or _silent
    tell("inspect", 0.0)
    outline = read_outline(model_path)
    (found or _unheard)(note(outline))
    tell("load", 0.02)
    with tempfile.TemporaryDirectory(prefix="phasegap-") as scratch:
        raw = read_batch(batch_path, label_column, Path(scratch))
        hashes = sha256 or (_sha256(model_path), _sha256(batch_path))
        if outline.weights_only:
            report = _of_weights(outline, raw, hashes, Options(**options), began)
            tell("done", 1.0)
            return report
        loaded = load_model(model_path, outline, options.get("memory_bytes"))
        source = _source(loaded, hashes, outline)
        report, prescription = _diagnose(loaded.model, raw, source, Options(**options), tell, began)
    if repaired_path is not None and prescription.constants:
        report.checks.append(_write(model_path, repaired_path, loaded, prescription))
    tell("done", 1.0)
    return report


def diagnose_live(
    model: Any, x: Any, y: Any, *, sample_weight: Any, progress: Progress | None, **options: Any
) -> Report:
    """See `analyzers.diagnose`."""
    began = time.perf_counter()
    compiled = getattr(model, "compiled", False) or getattr(model, "_is_compiled", False)  # Keras 2 has the second
    config = model.get_compile_config() if compiled else None
    optimizer = getattr(model, "optimizer", None)
    steps = int(optimizer.iterations) if optimizer is not None else None
    source = Source("live", keras.__version__, config, steps)
    raw = raw_from_arrays(x, y, sample_weight)
    return _diagnose(model, raw, source, Options(**options), progress or _silent, began)[0]


def _diagnose(
    model: Any, raw: RawBatch, source: Source, options: Options, tell: Progress, began: float
) -> tuple[Report, Prescription]:
    subject = subject_of(model, structure(model, raw))
    batch, aliases = _fitted(model, raw)
    saved, complaint = compiled_from_config(source.compile_config, aliases)
    compiled = compiled_from_names(saved, options.loss, options.metrics).called(aliases)
    compiled, judged_by = inferred(model, compiled, batch.output_names, batch.y)
    evaluator = Evaluator(compiled, batch.output_names, batch.y, batch.sample_weight)
    marks = [began, time.perf_counter()]
    with within_memory(), _observer(subject, batch, options) as observer:
        tell("measure", 0.1)
        evaluator, of_logits = named.fitted(observer, evaluator, saved, options.loss, options.metrics)
        measured = measure(observer, evaluator, source.optimizer_iterations, lambda f: tell("measure", 0.1 + 0.5 * f))
        marks.append(time.perf_counter())
        tell("explain", 0.65)
        findings = judge_all(measured.case)
        judgement = decide(measured.case, findings)
        marks.append(time.perf_counter())
        tell("verify", 0.7)
        prescription = prescribe(observer, evaluator, measured, findings, judgement.primary)
        curve = depth.picture(observer, measured, prescription.constants)
        marks.append(time.perf_counter())
    measured.checks.extend([_unchanged(observer), *checks(observer.board), *conversions(batch)])
    unused = LABELS_UNUSED if batch.y is not None and compiled.empty else None
    said = {"compile_settings": complaint, "named_of_logits": of_logits, "judged_by": judged_by, "labels_used": unused}
    measured.checks.extend(_remarks({**said, "other_versions": source.remark}))
    facts = model_facts(subject, compiled, source)
    report = drafting.report(
        measured, findings, judgement, prescription, facts, batch_facts(batch, source.batch_sha256)
    )
    prescription = one_phase.limit(subject, report, prescription)
    report.id = identity(source.model_sha256 or observer.state.recorded_digest(), str(batch.samples), repr(options))
    report.timing_s = _timing(marks)
    report.depth = curve
    report.data_plan = data_plan.plan(measured.case) if prescription.constants else []
    passes = measured.inference, measured.training
    report.phases.reported = reproduce(options.reported, measured.case, subject.model, evaluator, passes)
    return dialect.speak(report), prescription


def _fitted(model: Any, raw: RawBatch) -> tuple[Batch, dict[str, str]]:
    """The batch as this model takes it, and the names of outputs by the other names that they go by."""
    with within_memory():
        inputs, outputs = specs(model, raw)
        batch = fit_batch(raw, inputs, outputs)
    return batch, {spec.alias: spec.name for spec in outputs if spec.alias is not None}


def _source(loaded: LoadedModel, hashes: tuple[str, str], outline: Outline) -> Source:
    return Source(
        loaded.format,
        loaded.keras_version,
        loaded.compile_config,
        loaded.optimizer_iterations,
        loaded.remark,
        *hashes,
        static_facts(outline),
    )


def _of_weights(outline: Outline, raw: RawBatch, hashes: tuple[str, str], options: Options, began: float) -> Report:
    """The report on weights without their model; see `analyzers.weights_only`."""
    loaded_at = time.perf_counter()
    source = Source(outline.format, outline.keras_version, None, outline.optimizer_iterations, None, *hashes)
    report = weights_only.weights_report(outline, raw, options.reported, source)
    report.phases.batch_size = _size(options, report.batch.samples)
    report.id = identity(*hashes, repr(options))
    report.timing_s = Timing(load=loaded_at - began, total=time.perf_counter() - began)
    return report


def _remarks(said: dict[str, str | None]) -> list[Check]:
    """What there is to say of how labels were judged, by the check's name; only what could not be used failed."""
    return [
        Check(name=name, passed=False if name == "compile_settings" else None, detail=text)
        for name, text in said.items()
        if text
    ]


def _size(options: Options, samples: int) -> int:
    if options.batch_size is not None and options.batch_size < 1:
        raise InvalidOption(f"batch_size must be 1 or more, it is {options.batch_size}")
    return min(options.batch_size or DEFAULT_BATCH_SIZE, samples)


def _observer(subject: Subject, batch: Batch, options: Options) -> Observer:
    observer = Observer(subject, batch, _batch_size(options, batch, subject), options.seed)
    observer.memory_bytes = options.memory_bytes
    return observer


def _batch_size(options: Options, batch: Batch, subject: Subject) -> int:
    asked, fixed = _size(options, batch.samples), subject.fixed_batch
    if fixed is not None and batch.samples < fixed:
        raise BatchTooSmall(f"the model is built for batches of exactly {fixed} samples, {batch.samples} were sent")
    check_outputs(subject.model, fixed or asked, options.memory_bytes)
    return fixed or asked


def _unchanged(observer: Observer) -> Check:
    changed = observer.state.changed()
    return Check(
        name="model_unchanged",
        passed=not changed,
        detail=f"all {len(observer.state.values)} variables hold the bytes that they held before "
        f"{observer.passes_run} passes"
        if not changed
        else f"{len(changed)} variables differ from the upload",
    )


def _write(model_path: Path, repaired_path: Path, loaded: LoadedModel, prescription: Prescription) -> Check:
    replacements = []
    sites = {s.path: s.layer for s in subject_of(loaded.model).of_kind("batch_normalizing")}
    for path, (mean, variance) in prescription.constants.items():
        replacements += [(sites[path].moving_mean, mean), (sites[path].moving_variance, variance)]
    manifest = write_repaired(model_path, repaired_path, loaded.model, replacements)
    changed = len(manifest["changed"])
    how = (
        "the file was saved anew by Keras"
        if manifest["rewritten"]
        else "every other dataset and member is the upload's own"
    )
    return Check(
        name="repaired_model_manifest",
        passed=not manifest["rewritten"],
        detail=f"{changed} datasets of moving_mean and moving_variance differ from the upload; {how}",
    )


def _timing(marks: list[float]) -> Timing:
    load, measured, explain, verify = (b - a for a, b in itertools.pairwise(marks))
    return Timing(load=load, measure=measured, explain=explain, verify=verify, total=time.perf_counter() - marks[0])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _silent(stage: str, fraction: float) -> None:
    """Progress that nobody listens to."""


def _unheard(line: str) -> None:
    """A note that nobody reads."""
